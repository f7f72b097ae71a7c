package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

const (
	// askTimeout is longer than the gateway takes to ask its store.
	askTimeout = 2 * time.Minute
	// maxAnswer bounds a response: lists in it are bounded.
	maxAnswer = 16 << 20
)

// askGateway sends a request to the admin listener of a running gateway. A body is an
// action.
func askGateway(ctx context.Context, s *settings.Settings, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	url := "http://" + settings.Reachable(s.AdminListen) + path
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Gateway-Action", "command")
	if s.AdminToken.IsSet() {
		request.Header.Set("Authorization", "Bearer "+s.AdminToken.Reveal())
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no gateway responds at %s (%w): start one with gateway serve, or set GATEWAY_ADMIN_LISTEN to its admin listener", url, errors.Unwrap(err))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", url, response.Status, reasonIn(answer))
	}
	return answer, err
}

// reasonIn returns the error in a response of the API, or the whole text.
func reasonIn(answer []byte) string {
	var problem struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &problem) == nil && problem.Error != "" {
		return problem.Error
	}
	return strings.TrimSpace(string(answer))
}
