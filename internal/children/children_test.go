package children

import (
	"os/exec"
	"testing"
)

// isOurs asks as whoever looks for orphans does.
func isOurs(pid int) (known bool) {
	Look(func(ours func(int) bool) { known = ours(pid) })
	return known
}

func TestOursFromStartToWait(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Start(cmd); err != nil {
		t.Fatal(err)
	}
	if !isOurs(cmd.Process.Pid) {
		t.Error("a process that runs isn't known")
	}
	in.Close()
	if err := Wait(cmd); err != nil {
		t.Error(err)
	}
	if isOurs(cmd.Process.Pid) {
		t.Error("a process that was waited for is still known")
	}
}

func TestErrorsOfARun(t *testing.T) {
	if err := Run(exec.Command("/nonexistent")); err == nil {
		t.Error("no error where there is no such program")
	}
	cmd := exec.Command("false")
	if err := Run(cmd); err == nil || isOurs(cmd.Process.Pid) {
		t.Errorf("got %v, known: %t", err, isOurs(cmd.Process.Pid))
	}
}
