package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

const healthTimeout = 2 * time.Second

func newHealthCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Check whether a running gateway can store events now",
		Long: "Requests /readyz from the admin listener (GATEWAY_ADMIN_LISTEN). The exit status is 0 if\n" +
			"the gateway is ready and 1 if not. Use it as the health check of a container, which has no\n" +
			"other program.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.LoadOnly("GATEWAY_ADMIN_LISTEN")
			if err != nil {
				return err
			}
			url := "http://" + settings.Reachable(s.AdminListen) + "/readyz"
			return checkHealth(cmd.Context(), url, cmd.OutOrStdout())
		},
	}
}

func checkHealth(ctx context.Context, url string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway responds: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", strings.TrimSpace(string(text)))
	}
	_, err = w.Write(text)
	return err
}
