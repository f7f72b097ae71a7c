package settings

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings/settingstest"
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
	s := Settings{DataDir: dir}
	made, err := s.GenerateLocalSecrets(randomForTest())
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

	again := Settings{DataDir: dir}
	made, err = again.GenerateLocalSecrets(rand.Reader)
	if err != nil || len(made) != 0 {
		t.Fatalf("made %q, %v", made, err)
	}
	checkSecrets(t, again, madeAppSecret, madeVerifyToken)

	sender := Settings{DataDir: dir}
	if err := sender.FindLocalSecrets(); err != nil {
		t.Fatal(err)
	}
	checkSecrets(t, sender, madeAppSecret, madeVerifyToken)
}

func checkSecrets(t *testing.T, s Settings, appSecret, verifyToken string) {
	t.Helper()
	got := append(RevealAll(s.MetaAppSecrets), s.MetaVerifyToken.Reveal())
	if want := []string{appSecret, verifyToken}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyTheMissingSecretIsMade(t *testing.T) {
	s := Settings{DataDir: t.TempDir(), MetaVerifyToken: NewSecret("mine")}
	made, err := s.GenerateLocalSecrets(randomForTest())
	if err != nil || len(made) != 1 {
		t.Errorf("made %q, %v", made, err)
	}
	checkSecrets(t, s, madeAppSecret, "mine")

	s = Settings{DataDir: t.TempDir(), MetaAppSecrets: []Secret{NewSecret("mine")}}
	made, err = s.GenerateLocalSecrets(randomForTest())
	if err != nil || len(made) != 1 {
		t.Errorf("made %q, %v", made, err)
	}
	checkSecrets(t, s, "mine", strings.Repeat("6162", 8))
}

func TestFindLocalSecretsMakesNone(t *testing.T) {
	s := Settings{DataDir: filepath.Join(t.TempDir(), "none")}
	if err := s.FindLocalSecrets(); err != nil || s.MetaAppSecrets != nil || s.MetaVerifyToken.IsSet() {
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
		{"two words", func(t *testing.T, path string) { put(t, path, settingstest.Secret+" "+settingstest.Secret) }, " contains white space or invisible characters: expected one word (delete the file, and the gateway generates a new one)"},
		{"directory", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, " cannot be read: is a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := Settings{DataDir: t.TempDir()}
			path := filepath.Join(s.DataDir, AppSecretFile)
			test.prepare(t, path)
			if _, err := s.GenerateLocalSecrets(rand.Reader); err == nil || err.Error() != path+test.want {
				t.Errorf("got %v, want %s", err, path+test.want)
			}
		})
	}
	s := Settings{DataDir: t.TempDir()}
	if _, err := s.GenerateLocalSecrets(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	s.DataDir = writeFile(t, "")
	if made, err := s.GenerateLocalSecrets(rand.Reader); err == nil || !strings.HasSuffix(err.Error(), "not a directory") || s.MetaAppSecrets != nil {
		t.Errorf("made %q, %v", made, err)
	}
}
