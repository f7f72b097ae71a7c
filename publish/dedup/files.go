package dedup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// Files keep an index across restarts, in a directory of its own. Each entry is written
// once. A goroutine uses them at a time, which also does what drops ids from the index.
type Files struct {
	dir    string
	origin Origin
	index  *Index

	last manifest // that was loaded or written; without a version if there is none
}

// Open makes the directory if need be. The index stays as it is.
func Open(dir string, origin Origin, index *Index) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Files{dir: dir, origin: origin, index: index}, nil
}

// Discard removes what is in the directory and clears the index. It is durable at once: the
// stream may have other messages with the sequences of the files.
func (f *Files) Discard() error {
	f.index.Clear()
	f.last = manifest{}
	return errors.Join(removeIfThere(filepath.Join(f.dir, manifestName)), syncDir(f.dir))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Load replaces the index by what is in the directory. lastSequence is that of the stream.
// The error says why it cannot be used; the caller then discards it.
func (f *Files) Load(lastSequence uint64) error {
	m, err := readManifest(f.dir)
	if m == nil || err != nil {
		return err
	}
	if err := m.check(f.origin, f.index.window, lastSequence); err != nil {
		return err
	}
	f.index.mu.Lock()
	defer f.index.mu.Unlock()
	f.index.clear()
	for i, c := range m.Chunks {
		if i == 0 {
			f.index.table.first, f.index.table.next = c.First, c.First
			f.index.table.addBuckets(uint64(len(m.Chunks)) * chunkLen)
		}
		if err := f.loadChunk(&c, lastSequence); err != nil {
			return err
		}
	}
	f.index.complete, f.last = m.Complete, *m
	return nil
}

// entryLen is the number of bytes of an entry in a file.
const entryLen = 28

func (f *Files) loadChunk(c *savedChunk, lastSequence uint64) error {
	content, err := os.ReadFile(f.path(c))
	if err != nil {
		return err
	}
	size := c.Entries * entryLen
	if len(content) < size || crc32.Checksum(content[:size], checksums) != c.Sum {
		return errSum
	}
	for at := 0; at < size; at += entryLen {
		b := content[at : at+entryLen]
		key := Key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		sequence := binary.LittleEndian.Uint64(b[16:])
		if sequence > lastSequence {
			return tooNew(sequence, lastSequence)
		}
		f.index.table.insert(key, sequence, binary.LittleEndian.Uint32(b[24:]))
	}
	return nil
}

func (f *Files) path(c *savedChunk) string {
	return filepath.Join(f.dir, fmt.Sprintf("%016x.ids", c.First))
}

// Save writes what has come since the last time. durable returns when the messages whose
// ids are in the index are on disk: a power cut must not keep an id without its message.
func (f *Files) Save(durable func() error) error {
	first, next, complete := f.index.bounds()
	chunks := slices.DeleteFunc(slices.Clone(f.last.Chunks), func(c savedChunk) bool { return c.First < first })
	for at := first; at < next; at += chunkLen {
		i := int((at - first) / chunkLen)
		if i == len(chunks) {
			chunks = append(chunks, savedChunk{First: at})
		}
		if err := f.saveChunk(&chunks[i], min(chunkLen, int(next-at))); err != nil {
			return err
		}
	}
	m := manifest{manifestVersion, f.origin, f.index.window, complete, chunks}
	if reflect.DeepEqual(m, f.last) {
		return nil
	}
	if err := durable(); err != nil {
		return err
	}
	if err := m.write(f.dir); err != nil {
		return err
	}
	f.last = m
	return f.removeUnused()
}

// saveChunk writes the entries of a chunk that its file does not have.
func (f *Files) saveChunk(c *savedChunk, entries int) error {
	if c.Entries == entries {
		return nil
	}
	added := f.index.encode(c.First+uint64(c.Entries), entries-c.Entries)
	if err := writeFile(f.path(c), added, int64(c.Entries)*entryLen, 0); err != nil {
		return err
	}
	c.Entries, c.Sum = entries, crc32.Update(c.Sum, checksums, added)
	return nil
}

// removeUnused removes the files of chunks that are not in the manifest.
func (f *Files) removeUnused() error {
	used := map[string]bool{filepath.Join(f.dir, manifestName): true}
	for i := range f.last.Chunks {
		used[f.path(&f.last.Chunks[i])] = true
	}
	all, err := os.ReadDir(f.dir)
	for _, file := range all {
		if path := filepath.Join(f.dir, file.Name()); !used[path] {
			err = errors.Join(err, removeIfThere(path))
		}
	}
	return err
}

// bounds returns the numbers of the first entry and the next one, and up to which sequence
// the entries before that are complete.
func (x *Index) bounds() (first, next, complete uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.table.first, x.table.next, x.complete
}

// encode returns entries as they are in a file.
func (x *Index) encode(first uint64, entries int) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	content := make([]byte, 0, entries*entryLen)
	for i := range uint64(entries) {
		e := x.table.entry(first + i)
		content = binary.LittleEndian.AppendUint64(content, e.key[0])
		content = binary.LittleEndian.AppendUint64(content, e.key[1])
		content = binary.LittleEndian.AppendUint64(content, e.sequence)
		content = binary.LittleEndian.AppendUint32(content, e.at)
	}
	return content
}
