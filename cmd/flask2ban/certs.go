package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"github.com/flask2ban/flask2ban/internal/certs"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/notify"
)

// certificates are where the listeners' certificates come from.
type certificates struct {
	tls    *tls.Config
	serve  func(context.Context) error          // keeps them fresh
	reload func() error                         // reads them again
	before func(next http.Handler) http.Handler // what stands before the proxy
}

// openCerts reads the certificate, or prepares to ask an authority for one.
func (s *service) openCerts(context.Context) error {
	c := s.config
	switch {
	case len(c.ACMEDomains) > 0:
		account, err := certs.ReadAccount(c.ACMEEABKid, c.ACMEEABKeyFile)
		if err != nil {
			return cmdline.Usage(err)
		}
		a := certs.NewACME(certs.ACMEConfig{
			Domains: c.ACMEDomains, Email: c.ACMEEmail, Directory: c.ACMEDirectory, Account: account,
			Cache: filepath.Join(s.dir, "acme"), Log: s.log,
		})
		s.certs = &certificates{a.TLS(), a.Serve, func() error { return nil }, a.Challenges}
	case c.TLSCert != "":
		files, err := certs.OpenFiles(c.TLSCert, c.TLSKey, s.log)
		if err != nil {
			return cmdline.Usage(err)
		}
		reload := func() error {
			err := files.Reload()
			if err != nil {
				s.notify.Tell(notify.Event{Kind: notify.ReloadFailed, At: time.Now(), Text: "reload of the certificate: " + err.Error()})
			}
			return err
		}
		w := s.watched("certificate", files.Paths(), func(context.Context) error { return reload() })
		s.certs = &certificates{files.TLS(), w.watch, reload, func(next http.Handler) http.Handler { return next }}
	}
	return nil
}

// reloadAll reads configuration and certificate again. It returns the settings
// that wait for the next start.
func (s *service) reloadAll(context.Context) (waiting []string, err error) {
	waiting, err = s.reload()
	if s.certs != nil {
		err = errors.Join(err, s.certs.reload())
	}
	return waiting, err
}

// addresses to listen on, without and with TLS.
func listenOn(c *config.Config) (plain, secure []string) {
	for _, l := range c.Listeners() {
		if l.TLS {
			secure = append(secure, l.Addr)
		} else {
			plain = append(plain, l.Addr)
		}
	}
	return plain, secure
}
