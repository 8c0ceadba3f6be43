package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnknownEnv(t *testing.T) {
	got := UnknownEnv([]string{
		"PATH=/bin", "FLASK2BAN_LISTEN=:80", "FLASK2BAN_MAXRETRIES=3", "FLASK2BAN_ZZZZZZZZ=1", "FLASK2BAN_WEIGHTS=x",
		"FLASK2BAN_PORT=tcp://10.0.0.1:80", "FLASK2BAN_PORT_80_TCP=x", "FLASK2BAN_SERVICE_HOST=10.0.0.1", "FLASK2BAN_SERVICE_PORT_HTTP=80", "",
	})
	want := []string{
		`FLASK2BAN_MAXRETRIES is set and is no setting (did you mean "FLASK2BAN_MAXRETRY"?)`,
		`FLASK2BAN_ZZZZZZZZ is set and is no setting`,
		`FLASK2BAN_WEIGHTS is set and is no setting`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
