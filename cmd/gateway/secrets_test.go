package main

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	madeAppSecret   = "61626162616261626162616261626162"
	madeVerifyToken = "63646364636463646364636463646364"
)

func randomForTest() *strings.Reader {
	return strings.NewReader("abababababababab" + "cdcdcdcdcdcdcdcd")
}

func TestLocalSecretsAreMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	appSecret, verifyToken := filepath.Join(dir, "app-secret"), filepath.Join(dir, "verify-token")
	s := settings{DataDir: dir}
	made, err := s.makeLocalSecrets(randomForTest())
	if err != nil || !reflect.DeepEqual(made, []string{appSecret, verifyToken}) {
		t.Fatalf("made %q, %v", made, err)
	}
	checkSecrets(t, s, madeAppSecret, madeVerifyToken)
	for _, path := range made {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("the data directory holds %v", left)
	}

	again := settings{DataDir: dir}
	made, err = again.makeLocalSecrets(rand.Reader)
	if err != nil || len(made) != 0 {
		t.Fatalf("made %q, %v", made, err)
	}
	checkSecrets(t, again, madeAppSecret, madeVerifyToken)

	sender := settings{DataDir: dir}
	if err := sender.findLocalSecrets(); err != nil {
		t.Fatal(err)
	}
	checkSecrets(t, sender, madeAppSecret, madeVerifyToken)
}

func checkSecrets(t *testing.T, s settings, appSecret, verifyToken string) {
	t.Helper()
	got := append(revealAll(s.MetaAppSecrets), s.MetaVerifyToken.reveal())
	if want := []string{appSecret, verifyToken}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyTheMissingSecretIsMade(t *testing.T) {
	s := settings{DataDir: t.TempDir(), MetaVerifyToken: newSecret("mine")}
	made, err := s.makeLocalSecrets(randomForTest())
	if err != nil || len(made) != 1 {
		t.Errorf("made %q, %v", made, err)
	}
	checkSecrets(t, s, madeAppSecret, "mine")

	s = settings{DataDir: t.TempDir(), MetaAppSecrets: []secret{newSecret("mine")}}
	made, err = s.makeLocalSecrets(randomForTest())
	if err != nil || len(made) != 1 {
		t.Errorf("made %q, %v", made, err)
	}
	checkSecrets(t, s, "mine", strings.Repeat("6162", 8))
}

func TestFindLocalSecretsMakesNone(t *testing.T) {
	s := settings{DataDir: filepath.Join(t.TempDir(), "none")}
	if err := s.findLocalSecrets(); err != nil || s.MetaAppSecrets != nil || s.MetaVerifyToken.set() {
		t.Errorf("got %v %v %v", s.MetaAppSecrets, s.MetaVerifyToken, err)
	}
	if _, err := os.Stat(s.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory was made: %v", err)
	}
}

func TestBadLocalSecrets(t *testing.T) {
	broken := errors.New("no entropy")
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string // behind the path
	}{
		{"empty", func(t *testing.T, path string) { put(t, path, "\n") }, " is empty: expected a file that holds the secret"},
		{"two words", func(t *testing.T, path string) { put(t, path, hush+" "+hush) }, " holds white space or invisible characters: expected one word (delete the file to have a new one made)"},
		{"directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, " cannot be read: is a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := settings{DataDir: t.TempDir()}
			path := filepath.Join(s.DataDir, appSecretFile)
			test.prepare(t, path)
			if _, err := s.makeLocalSecrets(rand.Reader); err == nil || err.Error() != path+test.want {
				t.Errorf("got %v, want %s", err, path+test.want)
			}
		})
	}
	s := settings{DataDir: t.TempDir()}
	if _, err := s.makeLocalSecrets(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	s.DataDir = writeFile(t, "")
	if made, err := s.makeLocalSecrets(rand.Reader); err == nil || !strings.HasSuffix(err.Error(), "not a directory") || s.MetaAppSecrets != nil {
		t.Errorf("made %q, %v", made, err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
