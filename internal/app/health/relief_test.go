package health

import (
	"testing"
	"time"
)

// relieved steps through paces and says when relief was on: one letter a pace,
// + for on.
func relieved(w *Window, r *Relief, waiting bool, paces ...Pace) string {
	var seen []byte
	for _, p := range paces {
		w.AddPace(p)
		if r.Step(w, waiting) {
			seen = append(seen, '+')
		} else {
			seen = append(seen, '.')
		}
	}
	return string(seen)
}

func times(n int, p Pace) []Pace {
	all := make([]Pace, n)
	for i := range all {
		all[i] = p
	}
	return all
}

func TestRelief(t *testing.T) {
	well := Pace{Median: 10 * time.Millisecond, Answers: 200, Over: PaceInterval}
	slow := Pace{Median: 400 * time.Millisecond, Answers: 200, Over: PaceInterval}
	fewer := Pace{Median: 400 * time.Millisecond, Answers: 100, Over: PaceInterval}
	for _, c := range []struct {
		name    string
		waiting bool
		paces   []Pace
		want    string
	}{
		{"well", true, times(8, well), "........"},
		{"half a minute, not a moment", true, append(times(5, slow), times(2, well)...), "......."},
		{"slow, and no fewer answers with half as many", true, times(10, slow), ".....+++++"},
		{"faster for it", true, append(append(times(6, slow), well), times(7, slow)...), ".....+......++"},
		{"only fewer answers for it", true, append(times(6, slow), times(10, fewer)...), ".....++........."},
		{"fewer, since fewer are asked for", false, append(times(6, slow), times(4, fewer)...), ".....+++++"},
	} {
		w := paced(10*time.Millisecond, 40, 1)
		r := &Relief{}
		if got := relieved(w, r, c.waiting, c.paces...); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// What only cost answers is not tried again for as long as a restart waits.
func TestReliefRests(t *testing.T) {
	slow := Pace{Median: 400 * time.Millisecond, Answers: 200, Over: PaceInterval}
	w, r := paced(10*time.Millisecond, 40, 1), &Relief{}
	relieved(w, r, true, times(6, slow)...)
	relieved(w, r, true, times(2, Pace{Median: slow.Median, Answers: 100, Over: PaceInterval})...)
	for rest := time.Duration(0); rest < reliefRest; rest += PaceInterval {
		if relieved(w, r, true, slow) == "+" {
			t.Fatalf("tried again after %s", rest)
		}
	}
	if relieved(w, r, true, slow) != "+" {
		t.Error("never tried again")
	}
}
