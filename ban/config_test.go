package ban

import (
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestBadConfigurations(t *testing.T) {
	for want, c := range map[string]Config{
		"ban: maxretry NaN: must be above 0":                                            {MaxRetry: math.NaN()},
		"ban: findtime 1ms: must be 1s or more":                                         {FindTime: time.Millisecond},
		"ban: bantime -1s: must be 1s or more":                                          {BanTime: -time.Second},
		"ban: longest bantime 1m0s: is shorter than bantime 10m0s":                      {BanTimeMax: time.Minute},
		"ban: ban jitter 1: must be below 1":                                            {BanJitter: 1},
		"ban: max clients -5: must be 1 or more":                                        {MaxClients: -5},
		"ban: IPv4 prefix /33: must be /1 to /32":                                       {IPv4Bits: 33},
		"ban: IPv6 prefix /-1: must be /1 to /128":                                      {IPv6Bits: -1},
		`ban: weight -1 of evidence "honeypath": must be 0 or more`:                     {Weights: map[Kind]float64{Honeypath: -1}},
		"ban: throttle of suspects on known URLs {5 0}: rate and burst must be above 0": {SuspectKnown: Rate{PerSecond: 5}},
	} {
		if _, err := New(c); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestBadConfigurationNamesEverything(t *testing.T) {
	_, err := New(Config{MaxRetry: -1, MaxClients: -1})
	if err == nil || !strings.Contains(err.Error(), "maxretry") || !strings.Contains(err.Error(), "max clients") {
		t.Errorf("got %v, want both", err)
	}
}

func TestLongBanTimeRaisesTheLongest(t *testing.T) {
	p := newPlay(t, Config{BanTime: 30 * 24 * time.Hour, BanJitter: -1})
	ban := p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"}).Banned
	if got := ban.Until.Sub(ban.Since); got != 30*24*time.Hour {
		t.Errorf("the first ban lasts %v", got)
	}
}

func TestKindsAreDocumented(t *testing.T) {
	seen := map[Kind]bool{}
	for _, k := range Kinds() {
		if k.Kind == "" || k.Doc == "" || seen[k.Kind] {
			t.Errorf("incomplete or twice: %+v", k)
		}
		seen[k.Kind] = true
	}
	Kinds()[0].Weight = 99
	if Kinds()[0].Weight == 99 {
		t.Error("the table can be changed from outside")
	}
}

func TestNames(t *testing.T) {
	got := []string{Allow.String(), Wait.String(), Refuse.String(), Action(9).String(), Never.String(), Standing(9).String()}
	for _, c := range append(Classes(), Class(9)) {
		got = append(got, c.String())
	}
	want := "allow wait refuse refuse never never high normal low suspect suspect"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestImports holds the package's promise: no HTTP, no files, no store.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"golang.org/x/time/rate": true}
	for _, name := range strings.Fields("bytes cmp container/heap context encoding/binary encoding/json errors fmt hash/fnv hash/maphash math math/bits math/rand/v2 net/netip slices strings sync sync/atomic time unsafe") {
		allowed[name] = true
	}
	for _, name := range strings.Fields(string(out)) {
		if !allowed[name] {
			t.Errorf("package ban must not import %s", name)
		}
	}
}
