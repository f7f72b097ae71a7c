package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
)

// decompress returns the body without its Content-Encoding. It runs when the signature,
// which is over the bytes as they were received, has been verified. The result has the
// same limit and the same memory budget as a body that was received, and is released with
// it.
//
// A body that cannot be decompressed is returned as it is: it is not JSON then, so it
// becomes a dead letter.
func (s *Server) decompress(r *request, received *body) (*body, error) {
	if !strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		return received, nil
	}
	limit := s.cfg.MaxBodyBytes
	b := s.newBody()
	r.trail.content = b
	z, err := gzip.NewReader(bytes.NewReader(received.bytes))
	if err == nil {
		err = b.read(io.LimitReader(z, limit+1), max(limit+1, firstRead))
	}
	switch {
	case err == nil && int64(len(b.bytes)) > limit:
		err = errTooLarge
	case err == nil:
		return b, nil
	}
	if errors.Is(err, errBusy) || errors.Is(err, errTooLarge) {
		return nil, err
	}
	return received, nil
}
