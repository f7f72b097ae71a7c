package main

import "github.com/spf13/cobra"

func newServeCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings()
			if err != nil {
				return err
			}
			log, end := startLog(&s, cmd.ErrOrStderr())
			defer end()
			return run(cmd.Context(), &s, log, nil)
		},
	}
}
