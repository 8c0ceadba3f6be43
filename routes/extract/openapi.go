package extract

func openAPI(in *interp, c *call) value { return newSeq(listSeq) }
