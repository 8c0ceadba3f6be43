//go:build !race

package ban

// raceEnabled says that the race detector runs: ten times slower.
const raceEnabled = false
