package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
)

// Names in the directory of a stream. The server exports few of them.
const (
	streamsDir    = "streams"
	consumersDir  = "obs"
	messagesDir   = "msgs"
	consumerState = "o.dat"
	corruptDir    = "corrupt" // ours; the server looks at nothing that it does not know
)

// metadata repairs the small files of one stream that describe the stream and its
// consumers. The server replaces them without a sync, a consumer's state ten times a
// second, so that after a power cut one may hold zeros. The server keeps such a file,
// and refuses the consumer or the stream for as long as the file is there.
//
// Messages are not touched: the server recovers them by itself.
type metadata struct {
	dir    string // of the stream
	stream string
	log    *slog.Logger
	now    time.Time
}

// repairMetadata repairs the metadata of all streams in a store before a server
// starts on it. It returns the directories of the streams that somebody has to create
// again before the server knows their consumers.
func repairMetadata(store string, log *slog.Logger) (incomplete []string, err error) {
	dirs, err := streamDirs(store)
	for _, dir := range dirs {
		m := metadata{dir: dir, stream: filepath.Base(dir), log: log.With(slog.String("stream", filepath.Base(dir))), now: time.Now()}
		complete, repairErr := m.repair()
		if repairErr != nil {
			err = errors.Join(err, fmt.Errorf("repair the metadata of stream %s: %w", m.stream, repairErr))
		}
		if !complete {
			incomplete = append(incomplete, dir)
		}
	}
	return incomplete, err
}

// streamDirs returns the directories of the streams of all accounts. Those that the
// server was deleting begin with a dot; encrypted ones are not ours.
func streamDirs(store string) ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(globEscape(store), server.JetStreamStoreDir, "*", streamsDir, "[^.]*"))
	var streams []string
	for _, dir := range dirs {
		_, keyErr := os.Stat(filepath.Join(dir, server.JetStreamMetaFileKey))
		if info, err := os.Stat(dir); err == nil && info.IsDir() && errors.Is(keyErr, fs.ErrNotExist) {
			streams = append(streams, dir)
		}
	}
	return streams, err
}

// globEscape makes a pattern that only path matches.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// repair reports whether the server will know the consumers of the stream.
func (m metadata) repair() (complete bool, err error) {
	consumers, err := os.ReadDir(filepath.Join(m.dir, consumersDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	known, err := m.repairStream()
	for _, c := range consumers {
		if c.IsDir() {
			err = errors.Join(err, m.repairConsumer(c.Name()))
		}
	}
	return known || len(consumers) == 0, err
}

// repairStream reports whether the settings of the stream are known. Where they are
// not, the server recovers the messages when the stream is created again.
func (m metadata) repairStream() (known bool, err error) {
	var info server.FileStreamInfo
	switch err := m.read(m.dir, &info); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && info.StreamConfig.Name == m.stream:
		return true, m.repairSum(m.dir, m.stream)
	}
	const follows = "the settings of a stream were corrupt: the stream is created again with its messages; events that were delivered may be delivered again"
	return false, errors.Join(m.setAside(follows, m.dir, server.JetStreamMetaFile), m.discardSum(m.dir))
}

func (m metadata) repairConsumer(name string) error {
	dir := filepath.Join(m.dir, consumersDir, name)
	m.log = m.log.With(slog.String("consumer", name))
	var info server.FileConsumerInfo
	policy := server.DeliverNew // where it is not known: its owner creates it again with any
	switch err := m.read(dir, &info); {
	case errors.Is(err, fs.ErrNotExist):
	case err == nil && info.Name == name:
		policy = info.DeliverPolicy
		if err := m.repairSum(dir, m.stream+"/"+name); err != nil {
			return err
		}
	default:
		const follows = "the settings of a consumer were corrupt: the consumer does not exist until its owner creates it again, and then continues where it was; events that it has not read can be purged until then"
		if err := errors.Join(m.setAside(follows, dir, server.JetStreamMetaFile), m.discardSum(dir)); err != nil {
			return err
		}
	}
	return m.repairState(dir, policy)
}

// repairState sets aside what does not tell which messages the consumer has
// acknowledged: all messages are delivered again then.
func (m metadata) repairState(dir string, policy server.DeliverPolicy) error {
	state, err := os.ReadFile(filepath.Join(dir, consumerState))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (len(state) == 0 || validState(state)) {
		return nil // the server takes an empty file for the beginning
	}
	if err != nil {
		return err
	}
	const follows = "the position of a consumer was corrupt: the consumer starts again, and events that it has acknowledged are delivered again"
	if err := m.setAside(follows, dir, consumerState); err != nil {
		return err
	}
	switch policy {
	case server.DeliverNew, server.DeliverLast, server.DeliverLastPerSubject:
		// A new consumer with such a policy would skip what this one has not read.
		return writeDurably(filepath.Join(dir, consumerState), beginningOfStream)
	default:
		return nil
	}
}

// read decodes the metadata in dir into info.
func (m metadata) read(dir string, info any) error {
	text, err := os.ReadFile(filepath.Join(dir, server.JetStreamMetaFile))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, info)
}

// repairSum writes the checksum that belongs to metadata that can be read. The server
// replaces the two files one after the other, and refuses the metadata when a crash
// comes in between. key is what the server derives the key of the hash from.
func (m metadata) repairSum(dir, key string) error {
	text, err := os.ReadFile(filepath.Join(dir, server.JetStreamMetaFile))
	if err != nil {
		return err
	}
	seed := sha256.Sum256([]byte(key))
	hash, err := highwayhash.New64(seed[:])
	if err != nil {
		return err
	}
	hash.Write(text)
	want, path := hex.EncodeToString(hash.Sum(nil)), filepath.Join(dir, server.JetStreamMetaFileSum)
	got, err := os.ReadFile(path)
	if err == nil && string(got) == want {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.log.Warn("the checksum of settings was corrupt or of older settings: written again, nothing else changes", slog.String("file", path))
	return writeDurably(path, []byte(want))
}

// discardSum removes the checksum of settings that were set aside.
func (m metadata) discardSum(dir string) error {
	err := os.Remove(filepath.Join(dir, server.JetStreamMetaFileSum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// setAside moves a file of dir to where the server does not find it.
func (m metadata) setAside(follows, dir, name string) error {
	relative, err := filepath.Rel(m.dir, filepath.Join(dir, name))
	if err != nil {
		return err
	}
	aside := filepath.Join(m.dir, corruptDir, m.now.UTC().Format("20060102T150405.000Z")+"_"+strings.ReplaceAll(relative, string(filepath.Separator), "_"))
	if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, name), aside); err != nil {
		return err
	}
	m.log.Warn(follows, slog.String("file", filepath.Join(dir, name)), slog.String("moved_to", aside))
	return nil
}

// writeDurably replaces a file, with a sync before the old one is gone.
func writeDurably(path string, text []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
