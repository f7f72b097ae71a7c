package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/publish/natstest"
)

// rereaderOf watches one file whose content is taken unless it is "bad", and begins
// with "a".
type rereaderOf struct {
	*rereader
	t     *testing.T
	path  string
	used  []string
	log   *natstest.Log
	files *watchedFiles
}

func newRereaderOf(t *testing.T) *rereaderOf {
	t.Helper()
	r := &rereaderOf{t: t, path: writeFile(t, "a"), log: &natstest.Log{}}
	r.rereader = newRereader(slog.New(slog.NewTextHandler(r.log, nil)), prometheus.NewRegistry())
	r.files = &watchedFiles{settings: "GATEWAY_X", paths: []string{r.path}, use: func(contents [][]byte) ([]any, error) {
		if strings.HasPrefix(string(contents[0]), "bad") {
			return nil, errors.New("it is bad")
		}
		r.used = append(r.used, string(contents[0]))
		return []any{"live", 1}, nil
	}}
	if err := r.load(r.files); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rereaderOf) looks(n int) {
	for range n {
		r.look()
	}
}

func (r *rereaderOf) want(used, lines string) {
	r.t.Helper()
	if got := strings.Join(r.used, " "); got != used {
		r.t.Errorf("used %q, want %q", got, used)
	}
	var levels []string
	for line := range strings.Lines(r.log.String()) {
		levels = append(levels, found(line, `level=(\w+)`)[0])
	}
	if got := strings.Join(levels, " "); got != lines {
		r.t.Errorf("log lines %q, want %q\n%s", got, lines, r.log)
	}
}

// A change counts when two looks have found the same.
func TestRereadWaitsForTheWriter(t *testing.T) {
	r := newRereaderOf(t)
	r.looks(2)
	r.want("a", "")
	put(t, r.path, "ha") // of half
	r.looks(1)
	put(t, r.path, "half")
	r.looks(1)
	r.want("a", "")
	r.looks(1)
	r.want("a half", "INFO")
	r.looks(2)
	r.want("a half", "INFO")
	put(t, r.path, "")
	r.looks(1)
	put(t, r.path, "half") // written anew, and the same
	r.looks(2)
	r.want("a half", "INFO")
}

// What cannot be used is told once, and what comes after it too.
func TestRereadTellsOnce(t *testing.T) {
	r := newRereaderOf(t)
	put(t, r.path, "bad")
	r.looks(5)
	r.want("a", "ERROR")
	put(t, r.path, "bad, too") // the same mistake
	r.looks(5)
	r.want("a", "ERROR")
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.looks(5)
	r.want("a", "ERROR ERROR")
	if !strings.Contains(r.log.String(), `cannot be read: no such file or directory`) || r.files.wrong == "" {
		t.Errorf("got\n%s", r.log)
	}
	put(t, r.path, "a")
	r.looks(5)
	r.want("a a", "ERROR ERROR INFO")
	if r.files.wrong != "" {
		t.Errorf("still wrong: %s", r.files.wrong)
	}
}

// A pipe that takes the place of a file is not waited for.
func TestRereadDoesNotWaitForPipes(t *testing.T) {
	r := newRereaderOf(t)
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(r.path, 0o600); err != nil {
		t.Skip(err)
	}
	r.looks(2)
	r.want("a", "ERROR")
}

// Neither a directory nor a file without an end is read.
func TestRereadBounds(t *testing.T) {
	for name, replace := range map[string]func(string) error{
		"directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"endless":   func(path string) error { return os.Truncate(path, 1<<41) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRereaderOf(t)
			if err := replace(r.path); err != nil {
				t.Skip(err)
			}
			r.looks(2)
			r.want("a", "ERROR")
		})
	}
	path := writeFile(t, "a")
	if err := os.Truncate(path, 1<<41); err != nil {
		t.Skip(err)
	}
	if _, err := readSecretFile(path); err == nil || !strings.Contains(err.Error(), "is too large: expected at most 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

// A file system that does not answer is told, and shows in the metric.
func TestRereadStalls(t *testing.T) {
	r := newRereaderOf(t)
	r.stalled()
	r.want("a", "ERROR")
	if got := testutil.ToFloat64(r.good); got != 0 {
		t.Errorf("the gauge is %v", got)
	}
}

// Contents that only together are the same are not the same.
func TestFingerprint(t *testing.T) {
	split := func(texts ...string) (contents [][]byte) {
		for _, text := range texts {
			contents = append(contents, []byte(text))
		}
		return contents
	}
	all := []fingerprint{
		newFingerprint(split("ab", "c"), nil), newFingerprint(split("a", "bc"), nil), newFingerprint(split("abc"), nil),
		newFingerprint(split(""), nil), newFingerprint(nil, errors.New("x")), newFingerprint(nil, errors.New("y")),
	}
	for i := range all {
		for j := range i {
			if all[i] == all[j] {
				t.Errorf("%d and %d are the same", i, j)
			}
		}
	}
}

func TestLoadNamesTheSettings(t *testing.T) {
	r := newRereader(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	path := filepath.Join(t.TempDir(), "none")
	err := r.load(&watchedFiles{settings: "GATEWAY_A, GATEWAY_B", paths: []string{path}})
	if want := `GATEWAY_A, GATEWAY_B: "` + path + `" cannot be read: no such file or directory`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
