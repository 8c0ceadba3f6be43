package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// AuditFile is the name of the file in the state directory that keeps what
// operators did, one JSON object a line; AuditFile + ".1" is the one before.
const AuditFile = "audit.jsonl"

// maxAudit is the size, in bytes, at which the file is put aside: some ten
// thousand actions.
const maxAudit = 4 << 20

// Audit appends to the audit file. It is safe for concurrent use.
type Audit struct {
	mu   sync.Mutex
	path string
	file *os.File
	size int64
}

// OpenAudit opens the audit file of a state directory, made with mode 0600 where
// there is none.
func OpenAudit(dir string) (*Audit, error) {
	a := &Audit{path: filepath.Join(dir, AuditFile)}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return a, nil
}

func (a *Audit) open() error {
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	a.file, a.size = f, info.Size()
	return nil
}

// Write appends one line. A file that has grown too large is put aside first;
// the one that was put aside before is lost. Where that fails the line is
// written all the same, and the error says why.
func (a *Audit) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var unrotated error
	if a.size+int64(len(line)) > maxAudit && a.size > 0 {
		if err := a.rotate(); err != nil {
			unrotated = fmt.Errorf("audit log: %w", err)
		}
	}
	n, err := a.file.Write(line)
	a.size += int64(n)
	return n, errors.Join(err, unrotated)
}

// rotate goes on with the old file where there can't be a new one.
func (a *Audit) rotate() error {
	old := a.file
	if err := os.Rename(a.path, a.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := a.open(); err != nil {
		return err
	}
	return old.Close()
}

// Close closes the file.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file.Close()
}
