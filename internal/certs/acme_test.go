package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadAccount(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		text, key, problem string
	}{
		{"dGhlIGtleQ", "the key", ""},
		{"dGhlIGtleQ==\n", "the key", ""},
		{" dGhlIGtleQ=\r\n", "the key", ""},
		{"__-_", "\xff\xff\xbf", ""},
		{"", "", "does not hold one base64url key"},
		{"a key with blanks", "", "does not hold one base64url key"},
	}
	for _, tt := range tests {
		file := filepath.Join(dir, "eab.key")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		account, err := ReadAccount("kid", file)
		switch {
		case tt.problem != "":
			if err == nil || !strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), file) {
				t.Errorf("%q: %v, want %q with the file's name", tt.text, err, tt.problem)
			}
		case err != nil || string(account.Key) != tt.key || account.KID != "kid":
			t.Errorf("%q: got %v, %v, want key %q", tt.text, account, err, tt.key)
		}
	}
	if account, err := ReadAccount("", "nowhere"); account != nil || err != nil {
		t.Errorf("no key id: %v, %v", account, err)
	}
	if _, err := ReadAccount("kid", filepath.Join(dir, "nowhere")); err == nil || !strings.Contains(err.Error(), "--acme-eab-key-file") {
		t.Errorf("no file: %v", err)
	}
}
