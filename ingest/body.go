package ingest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// LargestBody is the most that Config.MaxBodyBytes may be: what all bodies that are
// being read may take together, in bytes.
const LargestBody = readBudget

const (
	// firstRead is what every request may send at once, in bytes: nearly all
	// deliveries fit. Buffers of this size are used again.
	firstRead = 16 << 10
	// readBudget bounds what all bodies together take beyond their firstRead,
	// in bytes. A sender has to deliver what it is charged for, and has not shown
	// that it is the platform yet; small deliveries pass whatever large ones do.
	readBudget = 256 << 20

	// decodeBudget bounds what the events of all large deliveries together take, in
	// bytes. One that needs more than all of it is taken apart alone.
	decodeBudget = 256 << 20
	// decodedSize is how many bytes the events of a delivery take for each of its
	// own: six for clicks as they are, up to eighteen for the smallest there can be.
	decodedSize = 16
)

// body is the bytes of one request, and what of the budget they are charged with.
type body struct {
	bytes   []byte
	charged int64
	spent   *atomic.Int64
	decoded int64 // charged for what it is taken apart into
	apart   *atomic.Int64
}

var bodies = sync.Pool{New: func() any { return &body{bytes: make([]byte, 0, firstRead)} }}

func (s *Server) newBody() *body {
	b := bodies.Get().(*body)
	b.spent, b.apart = &s.spent, &s.apart
	return b
}

// release gives buffer and budget back; nothing may use the bytes any more. A
// buffer that has grown is left to the collector: the next request has not been
// charged for it, and one burst must not hold memory for ever.
func (b *body) release() {
	b.spent.Add(-b.charged)
	b.apart.Add(-b.decoded)
	b.charged, b.decoded = 0, 0
	if cap(b.bytes) == firstRead {
		b.bytes = b.bytes[:0]
		bodies.Put(b)
	}
}

// grow makes room for more, at most up to limit.
func (b *body) grow(limit int64) error {
	size := min(2*int64(cap(b.bytes)), limit)
	more := size - int64(cap(b.bytes))
	if b.spent.Add(more) > readBudget {
		b.spent.Add(-more)
		return errBusy
	}
	b.charged += more
	larger := make([]byte, len(b.bytes), size)
	copy(larger, b.bytes)
	b.bytes = larger
	return nil
}

// takeApart charges for the events of a body whose sender is known, and refuses
// while those of others take too much. Small bodies pass whatever large ones do: the
// number of deliveries in flight bounds them.
func (b *body) takeApart() error {
	if len(b.bytes) <= firstRead {
		return nil
	}
	more := decodedSize * int64(len(b.bytes))
	if b.apart.Add(more) > max(decodeBudget, more) {
		b.apart.Add(-more)
		return errBusy
	}
	b.decoded = more
	return nil
}

// read fills the buffer, which grows with what has really arrived: a
// Content-Length alone takes no memory.
func (b *body) read(from io.Reader, limit int64) error {
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(limit); err != nil {
				return err
			}
		}
		n, err := from.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
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

// readBody reads the whole body into b.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, b *body) error {
	limit := s.cfg.MaxBodyBytes
	if r.ContentLength > 0 {
		limit = r.ContentLength
	}
	// One byte more than the limit: the end has to be seen.
	err := b.read(http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes), max(limit+1, firstRead))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBusy):
		return errBusy
	case errors.As(err, &tooLarge):
		return errTooLarge
	case err != nil:
		return errIncomplete
	}
	return nil
}
