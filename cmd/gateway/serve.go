package main

import (
	"github.com/spf13/cobra"

	"github.com/postback-gateway/gateway/cmd/gateway/internal/logging"
	"github.com/postback-gateway/gateway/cmd/gateway/internal/server"
)

func newServeCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			log, stop := logging.Start(cmd.ErrOrStderr(), logging.Options{Level: s.LogLevel, Format: s.LogFormat})
			defer stop()
			return server.Run(cmd.Context(), &s, log, server.Options{Version: buildVersion()})
		},
	}
}
