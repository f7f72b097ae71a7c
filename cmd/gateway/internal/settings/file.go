package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
)

// maxFile is the size limit of a file of secrets or certificates, in bytes.
const maxFile = 1 << 20

// ReadFile reads a file of secrets or certificates while the gateway runs. It does not
// wait for somebody to write into a pipe that has replaced the file.
func ReadFile(path string) ([]byte, error) {
	content, err := readFile(path, os.O_RDONLY|syscall.O_NONBLOCK, true)
	if err != nil {
		return nil, fmt.Errorf("%q %w", path, err)
	}
	return content, nil
}

// readSecretFile returns the secret in a file, which may also be a pipe.
func readSecretFile(path string) (string, error) {
	content, err := readFile(path, os.O_RDONLY, false)
	if err != nil {
		return "", err
	}
	return secretIn(content)
}

// readFile limits the size, so that a wrong path does not take all memory. The error is
// the rest of a sentence about the file.
func readFile(path string, flags int, regular bool) ([]byte, error) {
	file, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, errors.New("cannot be read: " + reason(err))
	}
	defer file.Close()
	if info, err := file.Stat(); regular && err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file any more: expected one, or restart the gateway")
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, errors.New("cannot be read: " + reason(err))
	case len(content) > maxFile:
		return nil, fmt.Errorf("is too large: expected at most %d bytes", maxFile)
	}
	return content, nil
}

// secretIn returns the content without its last line break, which editors and echo add.
func secretIn(content []byte) (string, error) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		return "", errors.New("is empty: expected a file that holds the secret")
	}
	return text, nil
}

// reason returns what an error about a file says after the path.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// quotePath shows the path of a secret's file only if it is certainly a path: somebody
// may have put the secret itself there.
func quotePath(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return strconv.Quote(path) + " "
	}
	return "the given file "
}

// WithFile returns the settings with the secret of a file that has changed, after the
// checks of a start, and how many secrets the file holds. It returns s itself if the
// secret is the same. No error shows the content.
func (s *Settings) WithFile(file SecretFile, content []byte) (next *Settings, secrets int, err error) {
	text, err := secretIn(content)
	if err != nil {
		return nil, 0, fmt.Errorf("%q %w", file.Path, err)
	}
	changed := *s
	v := changed.variable(file.Variable)
	v.set(text)
	if wrong := changed.check(nil).with(file.Variable); len(wrong) > 0 {
		return nil, 0, wrong
	}
	if reflect.DeepEqual(v.value.Interface(), s.variable(file.Variable).value.Interface()) {
		return s, v.secrets(), nil
	}
	return &changed, v.secrets(), nil
}
