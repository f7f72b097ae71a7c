package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// age is a flag for how long ago something was: a duration like 1h30m, or days like 7d.
type age time.Duration

// Set implements [pflag.Value].
func (a *age) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * 24 * float64(time.Hour))
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("expected a time such as 30m, 24h or 7d")
	}
	*a = age(d)
	return nil
}

// String implements [pflag.Value].
func (a *age) String() string {
	if *a == 0 {
		return ""
	}
	return time.Duration(*a).String()
}

// Type implements [pflag.Value].
func (a *age) Type() string { return "time" }

// before returns the time that long before now; zero if the flag is not set.
func (a *age) before(now time.Time) time.Time {
	if *a == 0 {
		return time.Time{}
	}
	return now.Add(-time.Duration(*a))
}

// completeValues has the shell complete the values of a flag.
func completeValues(cmd *cobra.Command, flag string, values ...string) {
	// An error means that the flag does not exist, which a test finds.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// number is a flag for a count.
type number uint64

// Set implements [pflag.Value].
func (n *number) Set(text string) error {
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("expected a whole number, 0 or more")
	}
	*n = number(value)
	return nil
}

// String implements [pflag.Value].
func (n *number) String() string { return strconv.FormatUint(uint64(*n), 10) }

// Type implements [pflag.Value].
func (n *number) Type() string { return "number" }
