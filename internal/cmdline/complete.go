package cmdline

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/config"
)

// completeFlags has the shell complete the values of all settings' flags: words
// where there is a choice, files where any text may stand, else nothing.
func completeFlags(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		words, text := config.FlagWords(f)
		if text {
			return // the shell's own: files
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // keeps one that there is
	})
	for _, sub := range cmd.Commands() {
		completeFlags(sub)
	}
}

// completing says whether the shell asks what may stand where the cursor is.
func completing(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
}

// CompleteApp has the shell complete an APP: its own way with files, beside the
// commands.
func CompleteApp(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
