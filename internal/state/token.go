package state

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	tokenName  = "token"
	tokenBytes = 32
	// minToken refuses a token file that was truncated or written by hand too
	// short to resist guessing.
	minToken = 16
)

// TokenFile is the path of the API token in dir.
func TokenFile(dir string) string { return filepath.Join(dir, tokenName) }

// Token returns the secret that the admin API asks for over TCP, and makes it
// when dir has none yet. The file is 0600; one that others can read, or that
// is too short, is an error, not replaced: somebody put it there.
func Token(dir string) (string, error) {
	token, err := ReadToken(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := writeToken(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make API token: %w", err)
	}
	return ReadToken(dir)
}

// ReadToken returns the token in dir; its error is fs.ErrNotExist where there
// is none.
func ReadToken(dir string) (string, error) {
	path := TokenFile(dir)
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read API token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("API token %s is open to other users (mode %04o): close it with chmod 600, and change it if someone may have read it", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read API token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("API token %s is not one word of at least %d characters: remove the file to get a new one", path, minToken)
	}
	return token, nil
}

// writeToken links a finished file into place: nobody ever sees half a token,
// and of two starters one wins.
func writeToken(dir string) error {
	secret := make([]byte, tokenBytes)
	rand.Read(secret) // never fails (crypto/rand)
	tmp, err := os.CreateTemp(dir, ".token-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), TokenFile(dir))
}
