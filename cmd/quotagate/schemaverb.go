package main

import (
	"github.com/spf13/cobra"

	"quotagate/rules"
)

func (p program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "the JSON schema of rules files, for editors",
		Args:  argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(rules.Schema())
			return err
		},
	}
}
