package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// presence notices when the files that the running server writes are no longer those
// at their paths: somebody removed the data directory's contents, or mounted a volume
// over it. The server goes on writing into files that nobody finds after a restart,
// and acknowledges that.
//
// A check is one stat for the directory of the streams and one for each stream, as
// long as nothing was added there and nothing removed. Else the directories are
// compared with those that are held open, and so is the newest block of each stream,
// which is the one that is written. It is safe for concurrent use.
type presence struct {
	dir     string                                         // of the streams
	created func() (streams map[string]time.Time, ok bool) // asks the server; not ok while it has no streams to tell of

	begun   atomic.Uint64 // checks, written with mu held
	mu      sync.Mutex
	streams map[string]*streamFiles
	top     unchanged
	err     error // final
	lost    chan error
}

// streamFiles are the files of one stream, held open: so their inodes are not used
// again for others.
type streamFiles struct {
	created    time.Time
	dir, block *os.File
	number     int // of the block; 0 without one
	messages   unchanged
}

func newPresence(store string, created func() (map[string]time.Time, bool)) *presence {
	return &presence{
		dir:     filepath.Join(store, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, streamsDir),
		created: created, streams: map[string]*streamFiles{}, lost: make(chan error, 1),
	}
}

// The server renames directories when it purges or deletes a stream; a difference that
// lasts longer is none of its making.
const (
	presenceTries = 50
	presencePause = 10 * time.Millisecond
)

// removable says that files can be removed while a process has them open. On Windows
// they cannot, and neither could the server remove its own if the check held them open.
const removable = runtime.GOOS != "windows"

// check returns an error if what was written before the call is not where a restart
// looks for it. The error is final. A check serves all callers that came before it began:
// those whose messages were acknowledged together come here first.
func (p *presence) check() error {
	begun := p.begun.Load()
	runtime.Gosched()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.Load() > begun {
		return p.err
	}
	p.begun.Add(1)
	if p.err != nil || p.isUnchanged() || !removable {
		return p.err
	}
	var err error
	for try := range presenceTries {
		if try > 0 {
			time.Sleep(presencePause)
		}
		if err = p.look(); !provesReplaced(err) {
			return nil // also where nothing can be said now: the next check looks again
		}
	}
	p.err = fmt.Errorf("the store was replaced while the server was writing to it (%w): do not touch the data directory of a running gateway", err)
	p.lost <- p.err
	return p.err
}

func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.streams {
		p.forget(name)
	}
}

func (p *presence) isUnchanged() bool {
	if !p.top.holds() {
		return false
	}
	for _, s := range p.streams {
		if !s.messages.holds() {
			return false
		}
	}
	return true
}

// errReplaced is the end of an error that says what is at a path instead.
var errReplaced = errors.New("is not the one that the server writes")

// provesReplaced reports whether the store is elsewhere. Any other error, such as too
// many open files, says nothing about that.
func provesReplaced(err error) bool {
	return errors.Is(err, errReplaced) || errors.Is(err, fs.ErrNotExist)
}

// look compares everything, and learns what the server has created and deleted.
func (p *presence) look() error {
	top := watchFrom(p.dir) // before the rest, so that the next check sees what comes meanwhile
	created, ok := p.created()
	for name, s := range p.streams {
		if at, exists := created[name]; ok && (!exists || !at.Equal(s.created)) {
			p.forget(name) // deleted, and maybe created again
		}
	}
	for name, at := range created {
		if p.streams[name] == nil {
			dir, err := os.Open(filepath.Join(p.dir, name))
			if err != nil {
				return err
			}
			p.streams[name] = &streamFiles{created: at, dir: dir}
		}
	}
	for _, s := range p.streams {
		if err := s.look(); err != nil {
			return err
		}
	}
	p.top = top
	return nil
}

func (p *presence) forget(name string) {
	p.streams[name].close()
	delete(p.streams, name)
}

func (s *streamFiles) close() {
	s.dir.Close()
	if s.block != nil {
		s.block.Close()
	}
}

func (s *streamFiles) look() error {
	if err := sameFile(s.dir); err != nil {
		return err
	}
	dir := filepath.Join(s.dir.Name(), messagesDir)
	messages := watchFrom(dir)
	newest, err := newestBlock(dir)
	switch {
	case err != nil:
		return err
	case newest < s.number:
		return fmt.Errorf("%s is missing: what is there %w", s.block.Name(), errReplaced)
	case newest > s.number || newest > 0 && sameFile(s.block) != nil: // the server may write a block anew
		if s.block != nil && newest == s.number && isOpenElsewhere(s.block) {
			return fmt.Errorf("%s %w", s.block.Name(), errReplaced)
		}
		block, err := os.Open(blockPath(dir, newest))
		if err != nil {
			return err
		}
		if s.block != nil {
			s.block.Close()
		}
		s.block, s.number = block, newest
	}
	s.messages = messages
	return nil
}

// sameFile returns an error unless an open file is the one at its path.
func sameFile(file *os.File) error {
	open, err := file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(file.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(open, there) {
		return fmt.Errorf("%s %w", file.Name(), errReplaced)
	}
	return nil
}

const blockSuffix = ".blk"

func blockPath(dir string, n int) string { return filepath.Join(dir, strconv.Itoa(n)+blockSuffix) }

// newestBlock returns the highest number of a block, 0 where there is none.
func newestBlock(dir string) (newest int, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, name := range names {
		if number, ok := strings.CutSuffix(name, blockSuffix); ok {
			if n, err := strconv.Atoi(number); err == nil {
				newest = max(newest, n)
			}
		}
	}
	return newest, err
}

// unchanged is a directory at one moment. Its zero value never holds.
type unchanged struct {
	path string
	info fs.FileInfo
	seen time.Time
}

func watchFrom(path string) unchanged {
	seen := time.Now()
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return unchanged{path, info, seen}
}

// timeGranularity is more than the clock of any filesystem misses: what changes twice
// within it may look as if it had changed once.
const timeGranularity = 50 * time.Millisecond

// holds reports whether the directory is still the same one, and nothing was added to
// it or removed from it.
func (u *unchanged) holds() bool {
	if u.info == nil || u.seen.Sub(u.info.ModTime()) < timeGranularity {
		return false
	}
	now, err := os.Stat(u.path)
	return err == nil && os.SameFile(now, u.info) && now.ModTime().Equal(u.info.ModTime())
}

// createdStreams returns when each stream that the server keeps in files was created.
func (s *Server) createdStreams() (map[string]time.Time, bool) {
	ns := s.running.Load()
	if !ns.JetStreamEnabled() {
		return nil, false
	}
	account, err := ns.JszAccount(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true, Config: true})
	if err != nil {
		return nil, false
	}
	created := make(map[string]time.Time)
	for i := range account.Streams {
		if d := &account.Streams[i]; d.Config != nil && d.Config.Storage == server.FileStorage {
			created[d.Name] = d.Created
		}
	}
	return created, true
}

// CheckStore returns an error if the store is not where the server opened it: then a
// restart will not find what has been acknowledged. The error is final.
func (s *Server) CheckStore() error {
	err := s.presence.check()
	if err != nil {
		failed := err // only a failure needs memory of its own
		s.failed.Store(&failed)
	}
	return err
}

// Err gives the error after which nothing more can be stored: see [Server.CheckStore].
// The server looks for it once a second, too. The process should end with status 1.
func (s *Server) Err() <-chan error {
	if s == nil {
		return nil // no server runs in this process
	}
	return s.presence.lost
}
