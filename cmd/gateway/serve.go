package main

import (
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/settings"
)

func newServeCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load()
			if err != nil {
				return err
			}
			log, stop := logging.Start(cmd.ErrOrStderr(), logging.Options{Level: s.LogLevel, Format: s.LogFormat})
			defer stop()
			return server.Run(cmd.Context(), &s, log, server.Options{Version: buildVersion()})
		},
	}
}
