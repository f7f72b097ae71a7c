package ingest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func compressed(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGzip(t *testing.T) {
	good := []byte(`{"object":"page","entry":[{"id":"PAGE","messaging":[{"sender":{"id":"U"},"recipient":{"id":"PAGE"},"timestamp":1,"postback":{"mid":"m_1","payload":"p"}}]}]}`)
	for name, test := range map[string]struct {
		body     []byte
		status   int
		accepted bool
	}{
		"a click":     {compressed(t, good), http.StatusOK, true},
		"a bomb":      {compressed(t, make([]byte, 5<<20)), http.StatusRequestEntityTooLarge, false},
		"not gzip":    {good, http.StatusOK, true}, // only the header is wrong
		"cut short":   {compressed(t, good)[:40], http.StatusBadRequest, false},
		"a large one": {compressed(t, append(slices.Clone(good), bytes.Repeat([]byte(" "), 3<<20)...)), http.StatusOK, true},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, forwardMeta)
			got := ts.request(t, http.MethodPost, metaPath, test.body, signed(test.body, map[string]string{"Content-Encoding": "gzip"}))
			if got.status != test.status || strings.Contains(got.body, `"accepted":1`) != test.accepted {
				t.Errorf("answered %d %s, want %d", got.status, got.body, test.status)
			}
			for _, m := range wholes(ts.pub.taken()) {
				if !bytes.Equal(m.Data, test.body) || m.Header["Platform-Content-Encoding"][0] != "gzip" {
					t.Error("what is forwarded is not what was received")
				}
			}
			if n := ts.readMemory.Load() + ts.decodeMemory.Load(); n != 0 {
				t.Errorf("%d bytes are still reserved", n)
			}
		})
	}
}

// The signature is over the bytes as they were received.
func TestGzipSignedInside(t *testing.T) {
	ts := newTestServer(t, nil)
	body := []byte(`{"object":"page","entry":[]}`)
	got := ts.request(t, http.MethodPost, metaPath, compressed(t, body), signed(body, map[string]string{"Content-Encoding": "gzip"}))
	if got.status != http.StatusUnauthorized {
		t.Errorf("answered %d, want 401", got.status)
	}
}

func FuzzGzip(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\xae\x05\x04\x00\x00\xff\xff\x43\xbf\xa6\xa3\x02\x00\x00\x00"))
	f.Add([]byte("{}"))
	ts := newTestServer(f, func(cfg *Config) { cfg.MaxBodyBytes = 1 << 16 })
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &request{Request: &http.Request{Header: http.Header{"Content-Encoding": {"gzip"}}}}
		b, err := ts.decompress(r, &body{bytes: data})
		if err == nil {
			if len(b.bytes) > max(1<<16, len(data)) {
				t.Errorf("%d bytes, more than the limit", len(b.bytes))
			}
		}
		r.release()
		if n := ts.readMemory.Load(); n != 0 {
			t.Errorf("%d bytes are still reserved", n)
		}
	})
}
