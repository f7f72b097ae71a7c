package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const healthTimeout = 2 * time.Second

func newHealthCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask a running gateway whether it can store events now",
		Long: "Asks /readyz on the operator's listener (GATEWAY_ADMIN_LISTEN) and ends with status 0\n" +
			"when the gateway is ready and 1 when it is not: a health check for containers\n" +
			"that have no other program.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSome("ADMIN_LISTEN")
			if err != nil {
				return err
			}
			url := "http://" + reachable(s.AdminListen) + "/readyz"
			return askHealth(cmd.Context(), url, cmd.OutOrStdout())
		},
	}
}

func askHealth(ctx context.Context, url string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway answers: %w", err)
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
