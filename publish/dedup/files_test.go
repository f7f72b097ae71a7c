package dedup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var origin = Origin{Stream: "POSTBACKS", Created: begin.Add(123 * time.Nanosecond)}

func onDisk() error { return nil }

// load returns the index as the next start finds it.
func load(t *testing.T, dir string, lastSequence uint64) (*Index, *Files) {
	t.Helper()
	x := newIndex(t)
	f := open(t, dir, origin, x)
	if err := f.Load(lastSequence); err != nil {
		t.Fatal(err)
	}
	return x, f
}

func open(t *testing.T, dir string, o Origin, x *Index) *Files {
	t.Helper()
	f, err := Open(dir, o, x)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func save(t *testing.T, f *Files) {
	t.Helper()
	if err := f.Save(onDisk); err != nil {
		t.Fatal(err)
	}
}

// mustHave checks that the index has the ids from..to-1 and no others up to a bit further.
func mustHave(t *testing.T, x *Index, from, to int) {
	t.Helper()
	for n := from - 10; n < to+10; n++ {
		sequence, found := x.Find(id(n), begin)
		if inside := n >= from && n < to; found != inside || found && sequence != uint64(n) {
			t.Fatalf("id %d of %d to %d: %d, %v", n, from, to, sequence, found)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ids")
	_, f := load(t, dir, 0)
	saved := 1
	for _, end := range []int{1, 100, 101, chunkLen, chunkLen + 1, chunkLen + 2, 4*chunkLen + 7} {
		fill(f.index, saved, end, begin)
		saved = end
		save(t, f)
		x, again := load(t, dir, uint64(end))
		mustHave(t, x, 1, end)
		if x.Complete() != uint64(end-1) {
			t.Fatalf("complete up to %d, expected %d", x.Complete(), end-1)
		}
		f = again // each round goes on with what was loaded
	}
}

func TestFilesOfExpiredIDsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	_, f := load(t, dir, 0)
	fill(f.index, 1, 2*chunkLen+1, begin.Add(-2*time.Hour))
	fill(f.index, 2*chunkLen+1, 3*chunkLen+5, begin)
	save(t, f)
	f.index.Expire(begin)
	save(t, f)
	if all, err := os.ReadDir(dir); err != nil || len(all) != 3 { // two chunks and the manifest
		t.Errorf("files %v: %v", all, err)
	}
	x, _ := load(t, dir, 1<<20)
	mustHave(t, x, 2*chunkLen+1, 3*chunkLen+5)
}

// TestNothingIsSavedBeforeItsMessage: an id on the disk without its message would make the
// platform's next delivery a duplicate of nothing.
func TestNothingIsSavedBeforeItsMessage(t *testing.T) {
	dir := t.TempDir()
	_, f := load(t, dir, 0)
	fill(f.index, 1, 10, begin)
	save(t, f)
	fill(f.index, 10, 20, begin)
	broken := errors.New("the disk is broken")
	if err := f.Save(func() error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("Save: %v", err)
	}
	x, _ := load(t, dir, 100) // as after a crash: the chunk's file has more than the manifest says
	mustHave(t, x, 1, 10)
	save(t, f)
	if err := f.Save(func() error { return broken }); err != nil {
		t.Errorf("nothing has come, and still there is something to save: %v", err)
	}
	x, _ = load(t, dir, 100)
	mustHave(t, x, 1, 20)
}

func TestUnusableFilesAreRemoved(t *testing.T) {
	const ids = chunkLen + 100
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string, o *Origin, x *Index, last *uint64)
		want   string
	}{
		{"another stream", func(_ *testing.T, _ string, o *Origin, _ *Index, _ *uint64) { o.Stream = "OTHER" }, "another stream"},
		{"created again", func(_ *testing.T, _ string, o *Origin, _ *Index, _ *uint64) { o.Created = begin }, "another stream"},
		{"longer window", func(_ *testing.T, _ string, _ *Origin, x *Index, _ *uint64) { x.window *= 2 }, "of a window of 1h0m0s"},
		{"stream cut back", func(_ *testing.T, _ string, _ *Origin, _ *Index, last *uint64) { *last-- }, "the stream ends with"},
		{"corrupt manifest", func(t *testing.T, dir string, _ *Origin, _ *Index, _ *uint64) { corrupt(t, dir, manifestName, -5) }, errSum.Error()},
		{"corrupt checksum of the manifest", func(t *testing.T, dir string, _ *Origin, _ *Index, _ *uint64) { corrupt(t, dir, manifestName, 0) }, errSum.Error()},
		{"corrupt chunk", func(t *testing.T, dir string, _ *Origin, _ *Index, _ *uint64) {
			corrupt(t, dir, "0000000000000000.ids", 1000)
		}, errSum.Error()},
		{"short chunk", func(t *testing.T, dir string, _ *Origin, _ *Index, _ *uint64) {
			if err := os.Truncate(filepath.Join(dir, "0000000000004000.ids"), 99*entryLen); err != nil {
				t.Fatal(err)
			}
		}, errSum.Error()},
		{"missing chunk", func(t *testing.T, dir string, _ *Origin, _ *Index, _ *uint64) {
			if err := os.Remove(filepath.Join(dir, "0000000000000000.ids")); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"stream cut back before the last id", func(t *testing.T, dir string, _ *Origin, x *Index, last *uint64) {
			_, f := load(t, dir, *last)
			f.index.Add(id(ids+5), ids+5, begin)
			save(t, f)
			*last += 4
		}, "the stream ends with"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			_, f := load(t, dir, 0)
			fill(f.index, 1, ids+1, begin)
			save(t, f)
			o, x, last := origin, newIndex(t), uint64(ids)
			tt.change(t, dir, &o, x, &last)
			f = open(t, dir, o, x)
			if err := f.Load(last); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load: %v", err)
			}
			if err := f.Discard(); err != nil {
				t.Fatal(err)
			}
			if x.Len() != 0 || x.Complete() != 0 {
				t.Errorf("%d ids, complete up to %d: expected none", x.Len(), x.Complete())
			}
			// Not used later either, when the stream has grown again.
			if x, _ := load(t, dir, 1<<30); x.Len() != 0 {
				t.Error("the files are still used")
			}
			fill(x, 1, 50, begin)
			save(t, f)
			again := newIndex(t)
			again.window = x.window
			if err := open(t, dir, o, again).Load(49); err != nil || again.Len() != 49 {
				t.Errorf("saved again: %d ids, %v", again.Len(), err)
			}
		})
	}
}

// corrupt changes a byte of a file, counted from its end if at is negative.
func corrupt(t *testing.T, dir, name string, at int) {
	t.Helper()
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(content)
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(path, origin, newIndex(t)); f != nil || err == nil {
		t.Errorf("Open: %v, %v", f, err)
	}
}
