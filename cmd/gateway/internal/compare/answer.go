//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// answer is the part of an HTTP response that the load looks at.
type answer struct {
	status int
	closes bool // the connection ends with it
}

var (
	headerEnd     = []byte("\r\n\r\n")
	lengthHeader  = []byte("ength: ") // Content-Length in any case
	closingHeader = []byte("onnection: close")
)

// parseAnswer reads one response; whole is false while more has to come. It knows no
// more of HTTP than what the contestants write.
func parseAnswer(text []byte) (a answer, whole bool, err error) {
	end := bytes.Index(text, headerEnd)
	if end < 0 {
		return answer{}, false, nil
	}
	head := text[:end+2]
	if len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return answer{}, false, fmt.Errorf("not an HTTP response: %.60q", text)
	}
	if a.status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return answer{}, false, fmt.Errorf("response without a status: %.60q", text)
	}
	a.closes = bytes.Contains(head, closingHeader)
	at := bytes.Index(head, lengthHeader)
	if at < 0 {
		return answer{}, false, errors.New("response without Content-Length, which is all that this client understands")
	}
	length := head[at+len(lengthHeader):]
	size, err := strconv.Atoi(string(length[:bytes.IndexByte(length, '\r')]))
	if err != nil {
		return answer{}, false, fmt.Errorf("bad Content-Length: %w", err)
	}
	return a, len(text) >= end+len(headerEnd)+size, nil
}
