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

// LargestBody is the upper limit of Config.MaxBodyBytes, in bytes: one body cannot use
// more memory than all bodies together.
const LargestBody = readBudget

const (
	// firstRead is how much every request can send at once, in bytes. Nearly all
	// deliveries fit. Buffers of this size are reused.
	firstRead = 4 << 10
	// readBudget limits the memory of all bodies together beyond their firstRead, in
	// bytes. Senders are not authenticated yet, so a body reserves only as much as has
	// arrived. Large deliveries never block small ones.
	readBudget = 256 << 20

	// decodeBudget limits the memory for the events of all large deliveries together, in
	// bytes. A delivery that needs more than all of it is decoded alone.
	decodeBudget = 256 << 20
	// decodedSize is how many bytes the events of a delivery take for each byte of its
	// body: about 6 for usual clicks, up to 18 for the smallest possible ones.
	decodedSize = 16
)

// body is the body of one request and the memory that it has reserved.
type body struct {
	bytes []byte

	readMemory, decodeMemory     *atomic.Int64 // of the server
	readReserved, decodeReserved int64
}

var bodies = sync.Pool{New: func() any { return &body{bytes: make([]byte, 0, firstRead)} }}

func (s *Server) newBody() *body {
	b := bodies.Get().(*body)
	b.readMemory, b.decodeMemory = &s.readMemory, &s.decodeMemory
	return b
}

// release frees the buffer and the memory; nothing may use the bytes afterwards. Larger
// buffers are not reused: the next request has not reserved that memory.
func (b *body) release() {
	b.readMemory.Add(-b.readReserved)
	b.decodeMemory.Add(-b.decodeReserved)
	b.readReserved, b.decodeReserved = 0, 0
	if cap(b.bytes) == firstRead {
		b.bytes = b.bytes[:0]
		bodies.Put(b)
	}
}

// grow doubles the buffer, up to limit.
func (b *body) grow(limit int64) error {
	size := min(2*int64(cap(b.bytes)), limit)
	more := size - int64(cap(b.bytes))
	if b.readMemory.Add(more) > readBudget {
		b.readMemory.Add(-more)
		return errBusy
	}
	b.readReserved += more
	larger := make([]byte, len(b.bytes), size)
	copy(larger, b.bytes)
	b.bytes = larger
	return nil
}

// reserveDecoded reserves memory for the events of an authenticated delivery. It fails
// while other large deliveries use too much. Small bodies need no reservation, because
// the number of deliveries in flight limits them.
func (b *body) reserveDecoded() error {
	if len(b.bytes) <= firstRead {
		return nil
	}
	size := decodedSize * int64(len(b.bytes))
	if b.decodeMemory.Add(size) > max(decodeBudget, size) {
		b.decodeMemory.Add(-size)
		return errBusy
	}
	b.decodeReserved = size
	return nil
}

// read reads everything. The buffer grows with the bytes that have arrived: a
// Content-Length alone reserves no memory.
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

// checkHeaders rejects a request whose headers are wrong, before its body is read.
func (s *Server) checkHeaders(r *request) error {
	if r.ContentLength > s.cfg.MaxBodyBytes {
		return errTooLarge
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		s.hintMediaType(r)
		return errMediaType
	}
	return nil
}

// isJSON accepts application/json and every +json type, with any parameters, and a
// missing type.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// readBody reads the whole body into b.
func (s *Server) readBody(w http.ResponseWriter, r *request, b *body) error {
	limit, from := r.ContentLength, r.Body
	if limit <= 0 { // not known before; checkHeaders rejects a larger one
		limit = s.cfg.MaxBodyBytes
		from = http.MaxBytesReader(w, from, limit)
	}
	err := b.read(from, max(limit+1, firstRead)) // one byte more, to read the end
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBusy):
		return errBusy
	case errors.As(err, new(*http.MaxBytesError)):
		return errTooLarge
	default:
		return errIncomplete
	}
}
