package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func (c *cli) pageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "page",
		Short: "Print a link that opens the status page, signed in",
		Long: `The link signs one browser in, once, within ten minutes; the session lasts 12
hours. Without signing in the page can be read on the machine itself, and changes
nothing. From elsewhere tunnel to it, and open the link on your side:

  ssh -L 9180:127.0.0.1:9180 you@server`,
		Example: cmdline.Example("flask2ban page", "xdg-open $(flask2ban page)"),
		Args:    cmdline.Arguments(),
	}
	dir := c.program().StateFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.daemon(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		defer client.Close()
		link, err := client.SignIn(cmd.Context())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.stdout, link.URL)
		return err
	}
	return cmd
}

// listenAdmin takes the address of metrics, API and page.
func (s *service) listenAdmin() error {
	if s.config.Admin == "" {
		return nil
	}
	l, err := s.openAdminSocket()
	if err != nil {
		return fmt.Errorf("%w; choose another --admin, or --admin off", err)
	}
	s.adminAt = l
	s.closers = append(s.closers, func() error { l.Close(); return nil }) // mostly closed by then
	return nil
}

// openAdminSocket takes the one that a predecessor has left, or opens one.
func (s *service) openAdminSocket() (net.Listener, error) {
	if l, err := listenerOf(s.before.Socket(adminSocket)); l != nil || err != nil {
		return l, err
	}
	return net.Listen("tcp", s.config.Admin)
}

// pageURL is where a browser on this machine finds the status page: all
// addresses are reached by the loopback one. Empty without --admin.
func (s *service) pageURL() string {
	if s.adminAt == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(s.adminAt.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
