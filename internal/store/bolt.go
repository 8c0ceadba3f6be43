package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/flask2ban/flask2ban/ban"
)

const (
	boltFile = "bans.db"
	// boltSchema is the version of the file's layout: bucket "meta" with
	// "schema", bucket "records" with encoded records by client.
	boltSchema = 1
	// lockWait is how long another process may take to let go of the file: a
	// predecessor that is just ending.
	lockWait  = 2 * time.Second
	lockRetry = 20 * time.Millisecond
)

var (
	metaBucket    = []byte("meta")
	schemaKey     = []byte("schema")
	recordsBucket = []byte("records")
)

// bolt keeps records in one file. A save is one transaction that is on the
// disk when it returns.
type bolt struct {
	db   *bbolt.DB
	file *os.File // the database's, for its mode and lock
	path string
}

var _ ban.Store = (*bolt)(nil)

var errNewer = errors.New("it was written by a newer flask2ban")

// corrupt marks errors that say that the file's content is damaged.
type corrupt struct{ error }

func (c corrupt) Unwrap() error { return c.error }

// openBolt opens or makes the file. A corrupt one is moved aside: to serve
// without old bans is better than not to serve.
func openBolt(_ context.Context, _ string, o options) (ban.Store, error) {
	path := filepath.Join(o.dir, boltFile)
	b, err := openFile(path)
	var damage corrupt
	if !errors.As(err, &damage) {
		if err != nil {
			return nil, err
		}
		return b, nil
	}
	aside, moveErr := moveAside(path)
	if moveErr != nil {
		return nil, fmt.Errorf("store %s is corrupt (%w) and can't be moved aside: %w", path, damage.error, moveErr)
	}
	o.log.Warn("the store was corrupt: it was moved aside, and earlier bans are lost",
		slog.String("file", path), slog.String("moved_to", aside), slog.String("error", damage.Error()))
	b, err = openFile(path)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// moveAside renames the file to a name that isn't taken.
func moveAside(path string) (string, error) {
	for i := 1; ; i++ {
		aside := fmt.Sprintf("%s.corrupt-%d", path, i)
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, os.Rename(path, aside)
		}
	}
}

func openFile(path string) (*bolt, error) {
	b := &bolt{path: path}
	if err := guard(b.open); err != nil {
		b.abandon()
		return nil, b.explain(err)
	}
	return b, nil
}

func (b *bolt) open() error {
	var err error
	b.db, err = bbolt.Open(b.path, 0o600, &bbolt.Options{
		Timeout: lockWait, FreelistType: bbolt.FreelistMapType, OpenFile: b.openFile,
	})
	if err != nil {
		return err
	}
	if err := b.file.Chmod(0o600); err != nil {
		return err
	}
	if err := b.db.Update(b.prepare); err != nil {
		return err
	}
	return b.db.View(checkRecords)
}

// openFile is how bbolt opens its file: it is locked and verified first.
func (b *bolt) openFile(path string, flag int, mode os.FileMode) (*os.File, error) {
	var err error
	if b.file, err = os.OpenFile(path, flag, mode); err != nil {
		return nil, err
	}
	if err := lock(b.file); err != nil {
		return nil, err
	}
	if err := verify(b.file); err != nil {
		return nil, corrupt{err}
	}
	return b.file, nil
}

// lock takes the lock that bbolt will take on the same descriptor.
func lock(f *os.File) error {
	for end := time.Now().Add(lockWait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(end) {
			return bolterrors.ErrTimeout
		}
	}
}

// abandon lets go of what a failed open has taken.
func (b *bolt) abandon() {
	if b.db != nil {
		_ = guard(b.db.Close) // the error that led here is the one to tell
	} else if b.file != nil {
		_ = b.file.Close() // as above; bbolt may have closed it
	}
}

// checkRecords decodes every record, so that damage shows now and not in the
// middle of serving.
func checkRecords(tx *bbolt.Tx) error {
	return tx.Bucket(recordsBucket).ForEach(func(_, value []byte) error {
		if _, err := texts(nil).decode(value); err != nil {
			return corrupt{err}
		}
		return nil
	})
}

// prepare makes what a new file lacks and refuses one of a later version.
func (b *bolt) prepare(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucketIfNotExists(recordsBucket); err != nil {
		return err
	}
	stored := meta.Get(schemaKey)
	if stored == nil {
		return meta.Put(schemaKey, binary.AppendUvarint(nil, boltSchema))
	}
	version, n := binary.Uvarint(stored)
	if n <= 0 {
		return corrupt{errors.New("its schema version is unreadable")}
	}
	if version > boltSchema {
		return fmt.Errorf("%w (schema %d, this one knows %d): upgrade flask2ban, or move the file away and lose its bans", errNewer, version, boltSchema)
	}
	return nil
}

// explain says what a person can do about an error, and marks damage: whatever
// is neither the operating system's refusal nor a later version's file.
func (b *bolt) explain(err error) error {
	var damage corrupt
	var errno syscall.Errno
	switch {
	case errors.As(err, &damage):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("store %s is in use: another flask2ban runs with this state directory; stop it, or give this one another with --state", b.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store %s: %w; run as the user that owns it, or give another directory with --state", b.path, err)
	case errors.As(err, &errno), errors.Is(err, errNewer):
		return fmt.Errorf("store %s: %w", b.path, err)
	default:
		return corrupt{err}
	}
}

// guard turns a panic into an error: bbolt asserts its invariants by panics,
// and a file that is cut off while it is mapped is a memory fault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt{fmt.Errorf("bbolt: %v", r)}
		}
	}()
	return f()
}

// Load reads all records. One that can't be decoded is an error.
func (b *bolt) Load(ctx context.Context, each func(ban.Record) error) error {
	shared := texts{}
	read := func(_, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := shared.decode(value)
		if err != nil {
			return err
		}
		return each(r)
	}
	err := guard(func() error {
		return b.db.View(func(tx *bbolt.Tx) error { return tx.Bucket(recordsBucket).ForEach(read) })
	})
	if err != nil {
		return fmt.Errorf("store %s: %w", b.path, err)
	}
	return nil
}

// Save writes records in one transaction.
func (b *bolt) Save(ctx context.Context, records []ban.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := guard(func() error {
		return b.db.Update(func(tx *bbolt.Tx) error { return put(tx.Bucket(recordsBucket), records) })
	})
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("store %s: the disk is full; bans are kept in memory until there is room: %w", b.path, err)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", b.path, err)
	}
	return nil
}

func put(bucket *bbolt.Bucket, records []ban.Record) error {
	for _, r := range records {
		key := clientKey(r.Client)
		if r.Empty() {
			if err := bucket.Delete(key); err != nil {
				return err
			}
			continue
		}
		if err := bucket.Put(key, encode(nil, r)); err != nil {
			return err
		}
	}
	return nil
}

// clientKey is the address and the prefix length; IPv4 keys are shorter.
func clientKey(p netip.Prefix) []byte { return must(p.MarshalBinary()) }

// Close ends the use of the file.
func (b *bolt) Close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("store %s: close: %w", b.path, err)
	}
	return nil
}
