package settings

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// AppSecretFile and VerifyTokenFile are the files of the data directory with the secrets
// that the gateway generated.
const (
	AppSecretFile   = "app-secret"
	VerifyTokenFile = "verify-token"
)

// demoBotFile has the bot of a demo that runs in this data directory, as bot:token.
const demoBotFile = "demo-bot"

// StoreDemoBot keeps the only bot of the settings for commands beside a demo. remove
// ends that. Call it with the data directory locked.
func (s *Settings) StoreDemoBot() (remove func() error, err error) {
	path := filepath.Join(s.DataDir, demoBotFile)
	return func() error { return os.Remove(path) }, storeSecret(path, s.TelegramSecrets[0])
}

// localSecretBytes gives 32 hex digits, the form of Meta's own app secrets.
const localSecretBytes = 16

// GenerateLocalSecrets sets the app secret and the verify token if they are not
// configured: to those in the data directory, else to new ones that it stores there. It
// returns the paths of the new files. Call it with the data directory locked.
func (s *Settings) GenerateLocalSecrets(random io.Reader) (created []string, err error) {
	err = s.fillLocalSecrets(func(path string) (Secret, error) {
		found, err := ReadLocalSecret(path)
		if err != nil || found.IsSet() {
			return found, err
		}
		created = append(created, path)
		return newLocalSecret(path, random)
	})
	return created, err
}

// FindLocalSecrets is [Settings.GenerateLocalSecrets] for a command that talks to a
// running gateway. It generates nothing, so the secrets may still not be set afterwards.
func (s *Settings) FindLocalSecrets() error {
	if len(s.TelegramSecrets) == 0 {
		bot, err := ReadLocalSecret(filepath.Join(s.DataDir, demoBotFile))
		if err != nil {
			return err
		}
		if bot.IsSet() {
			s.TelegramSecrets = []Secret{bot}
		}
	}
	return s.fillLocalSecrets(ReadLocalSecret)
}

func (s *Settings) fillLocalSecrets(get func(path string) (Secret, error)) error {
	if len(s.MetaAppSecrets) == 0 {
		found, err := get(filepath.Join(s.DataDir, AppSecretFile))
		if err != nil {
			return err
		}
		if found.IsSet() {
			s.MetaAppSecrets = []Secret{found}
		}
	}
	if s.MetaVerifyToken.IsSet() {
		return nil
	}
	found, err := get(filepath.Join(s.DataDir, VerifyTokenFile))
	s.MetaVerifyToken = found
	return err
}

// ReadLocalSecret returns the secret in a file of the data directory, unset if the file does not exist.
func ReadLocalSecret(path string) (Secret, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Secret{}, nil
	}
	text, err := readSecretFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("%s %w", path, err)
	}
	if wrong := checkToken(text); wrong != "" {
		return Secret{}, fmt.Errorf("%s %s: expected one word (delete the file, and the gateway generates a new one)", path, wrong)
	}
	return NewSecret(text), nil
}

func newLocalSecret(path string, random io.Reader) (Secret, error) {
	text := make([]byte, localSecretBytes)
	if _, err := io.ReadFull(random, text); err != nil {
		return Secret{}, fmt.Errorf("no random bytes for %s: %w", path, err)
	}
	secret := NewSecret(hex.EncodeToString(text))
	if err := storeSecret(path, secret); err != nil {
		return Secret{}, fmt.Errorf("%s cannot be stored: %w", path, err)
	}
	return secret, nil
}

// storeSecret writes a file that only its owner can read. The file appears complete or
// not at all: an empty one would fail every later start.
func storeSecret(path string, s Secret) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.Reveal() + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
