package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of the data directory that hold the secrets which the gateway made.
const (
	appSecretFile   = "app-secret"
	verifyTokenFile = "verify-token"
)

// localSecretBytes gives 32 hex digits, the form of Meta's own app secrets.
const localSecretBytes = 16

// makeLocalSecrets fills in an app secret and a verify token where none is
// configured: those that the data directory holds, else new ones that are kept
// there. It returns the paths of the files that it made, to be told once. Call
// it with the data directory locked.
func (s *settings) makeLocalSecrets(random io.Reader) (made []string, err error) {
	err = s.fillSecrets(func(path string) (secret, error) {
		found, err := readLocalSecret(path)
		if err != nil || found.set() {
			return found, err
		}
		made = append(made, path)
		return newLocalSecret(path, random)
	})
	return made, err
}

// findLocalSecrets is makeLocalSecrets for a command that talks to a running
// gateway: it makes none, so they may still not be set afterwards.
func (s *settings) findLocalSecrets() error { return s.fillSecrets(readLocalSecret) }

// fillSecrets gets each secret that is not configured.
func (s *settings) fillSecrets(get func(path string) (secret, error)) error {
	if len(s.MetaAppSecrets) == 0 {
		found, err := get(filepath.Join(s.DataDir, appSecretFile))
		if err != nil {
			return err
		}
		if found.set() {
			s.MetaAppSecrets = []secret{found}
		}
	}
	if s.MetaVerifyToken.set() {
		return nil
	}
	found, err := get(filepath.Join(s.DataDir, verifyTokenFile))
	s.MetaVerifyToken = found
	return err
}

// readLocalSecret returns the secret in a file, unset where there is no file.
func readLocalSecret(path string) (secret, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return secret{}, nil
	}
	text, err := readSecretFile(path)
	if err != nil {
		return secret{}, fmt.Errorf("%s %w", path, err)
	}
	if !visible(text) {
		return secret{}, fmt.Errorf("%s holds white space or invisible characters: expected one word (delete the file to have a new one made)", path)
	}
	return newSecret(text), nil
}

func newLocalSecret(path string, random io.Reader) (secret, error) {
	text := make([]byte, localSecretBytes)
	if _, err := io.ReadFull(random, text); err != nil {
		return secret{}, fmt.Errorf("no random bytes for %s: %w", path, err)
	}
	made := newSecret(hex.EncodeToString(text))
	if err := keepSecret(path, made); err != nil {
		return secret{}, fmt.Errorf("%s cannot be kept: %w", path, err)
	}
	return made, nil
}

// keepSecret writes a file that only its owner can read. It appears whole or not
// at all: an empty one would fail every later start.
func keepSecret(path string, s secret) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.reveal() + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
