package reload

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
	"github.com/postback-gateway/gateway/publish/natstest"
)

// testFiles watches one file whose content is taken unless it is "bad", and begins
// with "a".
type testFiles struct {
	*Files
	t     *testing.T
	path  string
	used  []string
	log   *natstest.Log
	group *Group
}

func newTestFiles(t *testing.T) *testFiles {
	t.Helper()
	r := &testFiles{t: t, path: settingstest.NewFile(t, "a"), log: &natstest.Log{}}
	r.Files = NewFiles(slog.New(slog.NewTextHandler(r.log, nil)), prometheus.NewRegistry())
	r.group = &Group{Settings: "GATEWAY_X", Paths: []string{r.path}, Load: func(contents [][]byte) ([]any, error) {
		if strings.HasPrefix(string(contents[0]), "bad") {
			return nil, errors.New("it is bad")
		}
		r.used = append(r.used, string(contents[0]))
		return []any{"live", 1}, nil
	}}
	if err := r.Load(r.group); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *testFiles) polls(n int) {
	for range n {
		r.poll()
	}
}

func (r *testFiles) want(used, lines string) {
	r.t.Helper()
	if got := strings.Join(r.used, " "); got != used {
		r.t.Errorf("used %q, want %q", got, used)
	}
	var levels []string
	for line := range strings.Lines(r.log.String()) {
		levels = append(levels, regexp.MustCompile(`level=(\w+)`).FindStringSubmatch(line)[1])
	}
	if got := strings.Join(levels, " "); got != lines {
		r.t.Errorf("log lines %q, want %q\n%s", got, lines, r.log)
	}
}

// A change counts when two looks have found the same.
func TestFilesWaitForTheWriter(t *testing.T) {
	r := newTestFiles(t)
	r.polls(2)
	r.want("a", "")
	settingstest.WriteFile(t, r.path, "ha") // of half
	r.polls(1)
	settingstest.WriteFile(t, r.path, "half")
	r.polls(1)
	r.want("a", "")
	r.polls(1)
	r.want("a half", "INFO")
	r.polls(2)
	r.want("a half", "INFO")
	settingstest.WriteFile(t, r.path, "")
	r.polls(1)
	settingstest.WriteFile(t, r.path, "half") // written anew, and the same
	r.polls(2)
	r.want("a half", "INFO")
}

// What cannot be used is told once, and what comes after it too.
func TestFilesReportErrorsOnce(t *testing.T) {
	r := newTestFiles(t)
	settingstest.WriteFile(t, r.path, "bad")
	r.polls(5)
	r.want("a", "ERROR")
	settingstest.WriteFile(t, r.path, "bad, too") // the same mistake
	r.polls(5)
	r.want("a", "ERROR")
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	r.polls(5)
	r.want("a", "ERROR ERROR")
	if !strings.Contains(r.log.String(), `cannot be read: no such file or directory`) || r.group.failed == "" {
		t.Errorf("got\n%s", r.log)
	}
	settingstest.WriteFile(t, r.path, "a")
	r.polls(5)
	r.want("a a", "ERROR ERROR INFO")
	if r.group.failed != "" {
		t.Errorf("still wrong: %s", r.group.failed)
	}
}

// A pipe that takes the place of a file is not waited for.
func TestFilesDoNotWaitForPipes(t *testing.T) {
	r := newTestFiles(t)
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(r.path, 0o600); err != nil {
		t.Skip(err)
	}
	r.polls(2)
	r.want("a", "ERROR")
}

// Neither a directory nor a file without an end is read.
func TestFilesHaveASizeLimit(t *testing.T) {
	for name, replace := range map[string]func(string) error{
		"directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"endless":   func(path string) error { return os.Truncate(path, 1<<41) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestFiles(t)
			if err := replace(r.path); err != nil {
				t.Skip(err)
			}
			r.polls(2)
			r.want("a", "ERROR")
		})
	}
}

// A file system that does not answer is told, and shows in the metric.
func TestFilesReportAStall(t *testing.T) {
	r := newTestFiles(t)
	r.reportStall()
	r.want("a", "ERROR")
	if got := testutil.ToFloat64(r.success); got != 0 {
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
	r := NewFiles(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	path := filepath.Join(t.TempDir(), "none")
	err := r.Load(&Group{Settings: "GATEWAY_A, GATEWAY_B", Paths: []string{path}})
	if want := `GATEWAY_A, GATEWAY_B: "` + path + `" cannot be read: no such file or directory`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
