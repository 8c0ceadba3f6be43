package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/store/redistest"
)

// opener opens one store, or the same again.
type opener func(t *testing.T) ban.Store

// TestConformance holds for every backend.
func TestConformance(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) opener{
		"memory": func(*testing.T) opener { return func(t *testing.T) ban.Store { return open(t, "memory", "") } },
		"bolt": func(t *testing.T) opener {
			dir := t.TempDir()
			return func(t *testing.T) ban.Store { return open(t, "bolt", dir) }
		},
		"redis": func(t *testing.T) opener {
			url := redistest.Start(t).URL()
			return func(t *testing.T) ban.Store { return open(t, url, "") }
		},
	} {
		t.Run(name, func(t *testing.T) { conformance(t, make) })
	}
}

func open(t testing.TB, spec, dir string) ban.Store {
	t.Helper()
	st, err := Open(t.Context(), spec, dir, WithLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatalf("open %s: %v", spec, err)
	}
	return st
}

// conformance is what the engine relies on in any store.
func conformance(t *testing.T, fresh func(*testing.T) opener) {
	for name, test := range map[string]func(*testing.T, ban.Store){
		"empty loads nothing":              loadsNothing,
		"what is saved is loaded":          savedIsLoaded,
		"every field survives":             fieldsSurvive,
		"a later record replaces":          laterReplaces,
		"an empty record deletes":          emptyDeletes,
		"deleting what isn't there":        deletesNothing,
		"clients that look alike are two":  alikeAreTwo,
		"loaded records are the caller's":  loadedAreOwn,
		"a large batch":                    largeBatch,
		"an ended context saves nothing":   endedContext,
		"the callback's error ends a load": callbackError,
	} {
		t.Run(name, func(t *testing.T) {
			st := fresh(t)(t)
			defer closeStore(t, st)
			test(t, st)
		})
	}
}

func closeStore(t *testing.T, st ban.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func load(t testing.TB, st ban.Store) []ban.Record {
	t.Helper()
	var records []ban.Record
	err := st.Load(t.Context(), func(r ban.Record) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	slices.SortFunc(records, func(a, b ban.Record) int { return a.Client.Compare(b.Client) })
	return records
}

func save(t testing.TB, st ban.Store, records ...ban.Record) {
	t.Helper()
	if err := st.Save(t.Context(), records); err != nil {
		t.Fatalf("save: %v", err)
	}
}

func equal(t *testing.T, got, want []ban.Record) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}
}

// epoch is in the present: stores may forget what is over.
var epoch = time.Now().UTC().Truncate(time.Second).Add(678)

// banned is a record as an attacker leaves one.
func banned(client string) ban.Record {
	p := netip.MustParsePrefix(client)
	r := ban.Record{
		Client: p, Last: epoch, Expires: epoch.Add(30 * time.Minute), Good: 3, Bad: 5, Routes: 9, Sessions: 1,
		Ban: &ban.Ban{
			Client: p, Since: epoch, Until: epoch.Add(10 * time.Minute), Rule: "unexpected",
			Reason: "score 5 within 10m0s: 5 unexpected_path", Penalty: ban.Reject, Count: 2, Refusals: 7,
		},
		Evidence: []ban.Piece{{Time: epoch, Kind: ban.BadValue, Path: "/year/abc", Route: "/year/<int:y>", Weight: .5, Soft: true}},
		More:     []ban.Overflow{{Start: epoch, Hard: 1.5, Soft: 2, SoftPaths: 3}},
		Counts:   []ban.Counts{{Rule: "login", Ticks: []ban.Tick{{At: epoch, N: 3}, {At: epoch.Add(time.Second), N: 1}}}},
	}
	for i := range 5 {
		r.Spent = append(r.Spent, ban.Piece{
			Time: epoch.Add(time.Duration(i) * time.Second), Kind: ban.UnexpectedPath, Method: "GET",
			Path: fmt.Sprintf("/wp-content/%d.php", i), Verdict: "unexpected_path", RequestID: "0123456789abcdef",
			Weight: 1, Local: i > 2,
		})
	}
	return r
}

func loadsNothing(t *testing.T, st ban.Store) { equal(t, load(t, st), nil) }

func savedIsLoaded(t *testing.T, st ban.Store) {
	want := []ban.Record{banned("192.0.2.1/32"), banned("192.0.2.2/32"), banned("2001:db8::/64")}
	save(t, st, want[0])
	save(t, st, want[1:]...)
	equal(t, load(t, st), want)
}

func fieldsSurvive(t *testing.T, st ban.Store) {
	network := ban.Record{Client: netip.MustParsePrefix("198.51.100.0/24"), Ban: &ban.Ban{
		Client: netip.MustParsePrefix("198.51.100.0/24"), Since: epoch, Until: epoch.Add(time.Hour),
		Rule: "operator", Reason: "\x00 newline\n \xff", Penalty: ban.Tarpit, Count: 1, Manual: true, Observed: true,
	}}
	scored := banned("203.0.113.9/32")
	scored.Ban, scored.Spent = nil, nil
	save(t, st, network, scored)
	equal(t, load(t, st), []ban.Record{network, scored})
}

func laterReplaces(t *testing.T, st ban.Store) {
	first, second := banned("192.0.2.1/32"), banned("192.0.2.1/32")
	second.Ban.Count = 9
	save(t, st, first)
	save(t, st, second)
	equal(t, load(t, st), []ban.Record{second})
}

func emptyDeletes(t *testing.T, st ban.Store) {
	keep := banned("192.0.2.2/32")
	save(t, st, banned("192.0.2.1/32"), keep)
	save(t, st, ban.Record{Client: netip.MustParsePrefix("192.0.2.1/32")})
	equal(t, load(t, st), []ban.Record{keep})
}

func deletesNothing(t *testing.T, st ban.Store) {
	save(t, st, ban.Record{Client: netip.MustParsePrefix("192.0.2.1/32")})
	save(t, st)
	equal(t, load(t, st), nil)
}

func alikeAreTwo(t *testing.T, st ban.Store) {
	want := []ban.Record{
		banned("192.0.2.0/24"), banned("192.0.2.0/32"),
		banned("2001:db8::/48"), banned("2001:db8::/64"), banned("2001:db8::/128"),
	}
	save(t, st, want...)
	equal(t, load(t, st), want)
}

func loadedAreOwn(t *testing.T, st ban.Store) {
	want := banned("192.0.2.1/32")
	saved := banned("192.0.2.1/32")
	save(t, st, saved)
	saved.Ban.Count, saved.Spent[0].Path = 99, "changed"
	loaded := load(t, st)[0]
	loaded.Ban.Count, loaded.Spent[0].Path = 99, "changed"
	equal(t, load(t, st), []ban.Record{want})
}

func largeBatch(t *testing.T, st ban.Store) {
	var want []ban.Record
	for i := range 5000 {
		want = append(want, banned(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)))
	}
	save(t, st, want...)
	got := load(t, st)
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(encode(nil, got[i]), encode(nil, want[i])) { // quicker than cmp
			t.Fatalf("record %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func endedContext(t *testing.T, st ban.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Save(ctx, []ban.Record{banned("192.0.2.1/32")}); err == nil {
		t.Error("save with an ended context: no error")
	}
	equal(t, load(t, st), nil)
}

func callbackError(t *testing.T, st ban.Store) {
	save(t, st, banned("192.0.2.1/32"), banned("192.0.2.2/32"))
	calls := 0
	want := fmt.Errorf("enough")
	err := st.Load(t.Context(), func(ban.Record) error { calls++; return want })
	if err == nil || !strings.Contains(err.Error(), "enough") || calls != 1 {
		t.Errorf("load: got %v after %d calls, want the callback's error after 1", err, calls)
	}
}

func TestOpenUnknown(t *testing.T) {
	_, err := Open(t.Context(), "sqlite", t.TempDir())
	want := `store "sqlite": unknown; use one of ` + strings.Join(Names(), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOpenDefault(t *testing.T) {
	st := open(t, "", t.TempDir())
	defer closeStore(t, st)
	if _, ok := st.(*bolt); !ok {
		t.Errorf("got %T, want *bolt", st)
	}
}

func TestDecodeDamaged(t *testing.T) {
	whole := encode(nil, banned("192.0.2.1/32"))
	for n := range whole {
		if _, err := decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes: no error", n, len(whole))
		}
	}
	whole[0] = 9
	if _, err := decode(whole); err == nil || err.Error() != "record has encoding 9, this flask2ban knows 2" {
		t.Errorf("later encoding: got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(nil, banned("192.0.2.1/32")))
	f.Add(encode(nil, ban.Record{Client: netip.MustParsePrefix("2001:db8::/64")}))
	f.Add([]byte{1, 5, 1, 2, 3, 4, 32, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		first := encode(nil, r)
		again, err := decode(first)
		if err != nil || !bytes.Equal(first, encode(nil, again)) {
			t.Errorf("decoded %+v does not survive: %+v, %v", r, again, err)
		}
	})
}

// TestDecodeFirstVersion: a state directory of an earlier flask2ban is read.
func TestDecodeFirstVersion(t *testing.T) {
	want := banned("192.0.2.1/32")
	want.Counts = nil
	old := encode(nil, want)
	old[0] = 1
	got, err := decode(old[:len(old)-1]) // without the number of counts
	if err != nil {
		t.Fatal(err)
	}
	equal(t, []ban.Record{got}, []ban.Record{want})
}
