# specsynthase gathers OpenAPI files for connexion.


class SpecBuilder:
    def __init__(self):
        self.specs = []

    def add_spec(self, spec):
        self.specs.append(spec)
        return self
