package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func effective(t testing.TB, c *Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteEffectiveDefaults(t *testing.T) {
	golden(t, "effective_default.golden", effective(t, Default()))
}

func TestWriteEffectiveLayers(t *testing.T) {
	c, err := Load(flags(t, "--ignore", "192.0.2.1", "--access-log", "/var/log/a b.log"),
		env(map[string]string{"FLASK2BAN_STORE": "redis://:secret@127.0.0.1:6379/0"}), "testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := effective(t, c)
	golden(t, "effective_full.golden", got)
	if bytes.Contains(got, []byte("secret")) {
		t.Error("the password is shown")
	}
}

// What is written is a file that gives the same configuration.
func TestWriteEffectiveRoundTrip(t *testing.T) {
	for name, args := range map[string][]string{
		"default":  nil,
		"upstream": {"--upstream=http://127.0.0.1:5000", "--host=a.example,b.example", "--prefix=/"},
		"strange":  {"--state=a: b # c", "--access-log=null", "--python='\"\\\u00e9\n", "--app=~", "--listen=[::1]:0"},
		"observe":  {"--mode=observe", "--admin=off", "--trusted-proxy=cloudflare", "--preset=api", "--log-format=json"},
	} {
		t.Run(name, func(t *testing.T) { roundTrip(t, flags(t, args...), "") })
	}
	t.Run("file", func(t *testing.T) {
		roundTrip(t, flags(t, "--store=memory", "--notify=https://hooks.example.org/xxxxx"), "testdata/full.yaml")
	})
}

func roundTrip(t *testing.T, fs *pflag.FlagSet, file string) {
	t.Helper()
	want, err := Load(fs, noEnv, file)
	if err != nil {
		t.Fatal(err)
	}
	text := effective(t, want)
	got, err := Load(nil, noEnv, yamlFile(t, string(text)))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got.File = want.File
	for i := range got.Rules {
		got.Rules[i].Place = want.Rules[i].Place
	}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}

func TestWriteEffectiveFailingWriter(t *testing.T) {
	if err := Default().WriteEffective(failing{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestMasked(t *testing.T) {
	for s, want := range map[string]string{
		"redis://:secret@h:1/0":      "redis://:xxxxx@h:1/0",
		"redis://u:secret@h:1/0":     "redis://u:xxxxx@h:1/0",
		"redis://h:1/0":              "redis://h:1/0",
		"bolt":                       "bolt",
		"redis://u:se\x01cret@h":     "redis://xxxxx@h",
		"u:se\x01cret@h//x":          "xxxxx@h//x",
		"redis://u:%zz@h":            "redis://xxxxx@h",
		"\x01 no URL and no address": "\x01 no URL and no address",
	} {
		got := masked(s)
		if got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
		if strings.Contains(got, "cret") {
			t.Errorf("%q: the password is shown", s)
		}
	}
}
