package app

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// The board's layout, in the file that the settings stand in too; see
// hook/flask2ban_hook/board.py. After two numbers follow the ids, one a row.
const (
	boardAt   = 1 << 16
	boardRow  = 32
	boardRows = 2047
	boardSize = boardRow * (boardRows + 1)
)

// board is memory that we share with the app's processes. The hook announces a
// request on its pipe and then looks here; we write a request's id here and
// then look what was announced. So of a request that we want to send again,
// either we know that it has begun, or the hook knows that it must not begin.
type board struct {
	file *os.File // nil in tests of what needs none
	mu   sync.Mutex
	rows uint64
}

// revoke forbids the app to begin a request. It returns false where that can't
// be said any more.
func (b *board) revoke(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rows >= boardRows || len(id) > boardRow-2 || b.lost() {
		return false
	}
	row := make([]byte, boardRow)
	row[0] = '\n'
	copy(row[1:], id+"\n")
	if _, err := b.file.WriteAt(row, boardAt+boardRow+int64(b.rows)*boardRow); err != nil {
		return false
	}
	b.rows++
	_, err := b.file.WriteAt(binary.LittleEndian.AppendUint64(nil, b.rows), boardAt)
	return err == nil
}

// lost says that the hook could not announce a request at least once: then
// silence proves nothing.
func (b *board) lost() bool {
	var word [8]byte
	_, err := b.file.ReadAt(word[:], boardAt+8)
	return err != nil || word != [8]byte{}
}

func (b *board) close() { b.file.Close() }

// newBoardFile is the file in memory that settings and board stand in. They
// have no name in the file system and stand in no environment.
func newBoardFile(settings string) (*os.File, error) {
	fd, err := unix.MemfdCreate("flask2ban", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "settings")
	if _, err := f.WriteString(settings); err != nil {
		f.Close()
		return nil, err
	}
	if err := f.Truncate(boardAt + boardSize); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
