package ingest

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// Buffers go back for the next delivery; large ones are left to the collector,
// so that one burst of large bodies does not hold memory for ever.
const (
	firstBuffer  = 4 << 10
	pooledBuffer = 64 << 10
)

var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, firstBuffer)) }}

func releaseBuffer(b *bytes.Buffer) {
	if b.Cap() <= pooledBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// checkHead refuses what the header alone tells to be wrong, before a byte of
// the body is read.
func (s *Server) checkHead(r *http.Request) error {
	if r.ContentLength > s.cfg.MaxBodyBytes {
		return errTooLarge
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return errMediaType
	}
	return nil
}

// isJSON takes application/json and every +json type, with any parameters, and
// no type at all.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// readBody reads the whole body into b. The buffer grows with what has really
// arrived: a Content-Length alone takes no memory.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, b *bytes.Buffer) error {
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case err != nil:
		return errIncomplete
	}
	return nil
}
