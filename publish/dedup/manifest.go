package dedup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Origin says what an index is about. Files of another origin are not used.
type Origin struct {
	Stream  string
	Created time.Time // a stream that is created again counts from 1
}

// manifest says what the files contain. It is written last: what it does not list does not
// count.
type manifest struct {
	Version  int
	Origin   Origin
	Window   time.Duration
	Complete uint64 // sequence
	Chunks   []savedChunk
}

const manifestVersion = 1

// savedChunk is the beginning of a chunk, in a file of its own.
type savedChunk struct {
	First   uint64 // number of its first entry
	Entries int
	Sum     uint32 // of the entries
}

var (
	checksums = crc32.MakeTable(crc32.Castagnoli)
	errSum    = errors.New("the checksum is wrong")
)

const manifestName = "manifest"

// readManifest returns nil if there is none. Its first line is the checksum of the rest.
func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sum, rest, _ := bytes.Cut(text, []byte("\n"))
	if string(sum) != sumOf(rest) {
		return nil, errSum
	}
	m := &manifest{}
	return m, json.Unmarshal(rest, m)
}

func sumOf(text []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(text, checksums)) }

// check returns why the files do not fit; lastSequence is that of the stream.
func (m *manifest) check(origin Origin, window time.Duration, lastSequence uint64) error {
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("they have format %d, expected %d", m.Version, manifestVersion)
	case m.Origin.Stream != origin.Stream || !m.Origin.Created.Equal(origin.Created):
		return errors.New("they are of another stream")
	case m.Window < window:
		return fmt.Errorf("they are of a window of %s", m.Window)
	case m.Complete > lastSequence:
		return tooNew(m.Complete, lastSequence)
	}
	for i, c := range m.Chunks {
		full := c.Entries == chunkLen || i == len(m.Chunks)-1 && c.Entries > 0 && c.Entries < chunkLen
		if !full || c.First != m.Chunks[0].First+uint64(i)*chunkLen || c.First%chunkLen != 0 {
			return errors.New("chunks are missing")
		}
	}
	return nil
}

func tooNew(sequence, lastSequence uint64) error {
	return fmt.Errorf("they have message %d, and the stream ends with %d", sequence, lastSequence)
}

// write replaces the manifest on disk.
func (m *manifest) write(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestName)
	if err := writeFile(path+".new", slices.Concat([]byte(sumOf(text)+"\n"), text), 0, os.O_TRUNC); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil { // the chunks that are new
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeFile writes to a place in a file, and syncs it.
func writeFile(path string, content []byte, at int64, flag int) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, at)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
