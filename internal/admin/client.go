package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/state"
)

const (
	clientTimeout = time.Minute
	statusPath    = "/api/v1/status"
	overviewPath  = "/api/v1/overview"
	historyPath   = "/api/v1/history"
	rulesPath     = "/api/v1/rules"
	bansPath      = "/api/v1/bans"
	clientsPath   = "/api/v1/clients"
	reloadPath    = "/api/v1/reload"
	signInPath    = "/api/v1/signin"
)

// ErrNotRunning says that no daemon answers where one was looked for.
var ErrNotRunning = errors.New("no flask2ban runs")

// ErrNotFound is the error of [Client.Unban] for a client that is not banned.
var ErrNotFound = errors.New("not found")

// Client asks a running daemon over its Unix socket.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient returns a client of the daemon whose state directory is dir. It
// connects when first asked, and again after the daemon's restart.
func NewClient(dir string) *Client {
	return &Client{dir: dir, http: &http.Client{
		Timeout: clientTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return state.Dial(ctx, dir) },
		},
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status tells how the daemon is.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.call(ctx, http.MethodGet, statusPath, nil, &st)
}

// Overview tells all that goes on; each of its lists has at most limit entries.
func (c *Client) Overview(ctx context.Context, limit int) (o overview.Overview, err error) {
	return o, c.call(ctx, http.MethodGet, overviewPath+"?limit="+strconv.Itoa(limit), nil, &o)
}

// History is what was noted after since, at most the last hour, oldest first.
func (c *Client) History(ctx context.Context, since time.Time) (h []overview.Sample, err error) {
	return h, c.call(ctx, http.MethodGet, historyPath+"?since="+url.QueryEscape(since.Format(time.RFC3339Nano)), nil, &h)
}

// SignIn makes a link that signs one browser in to the status page.
func (c *Client) SignIn(ctx context.Context) (link SignIn, err error) {
	return link, c.call(ctx, http.MethodPost, signInPath, nil, &link)
}

// Rules lists the rules with how often each applied.
func (c *Client) Rules(ctx context.Context) (rules []ban.RuleReport, err error) {
	return rules, c.call(ctx, http.MethodGet, rulesPath, nil, &rules)
}

// Bans lists the bans in force.
func (c *Client) Bans(ctx context.Context) (bans []ban.Ban, err error) {
	return bans, c.call(ctx, http.MethodGet, bansPath, nil, &bans)
}

// Ban orders a ban and returns it as it is in force.
func (c *Client) Ban(ctx context.Context, o Order) (b ban.Ban, err error) {
	return b, c.call(ctx, http.MethodPost, bansPath, o, &b)
}

// Unban removes the ban of an address or CIDR and, where inside is set, those of
// all that lies in it.
func (c *Client) Unban(ctx context.Context, client string, inside bool) (r Removal, err error) {
	return r, c.call(ctx, http.MethodDelete, bansPath+"/"+url.PathEscape(client)+"?inside="+strconv.FormatBool(inside), nil, &r)
}

// Explanation is what is known of a client, as GET /api/v1/clients/{ip} sends
// it; the standing is its word there.
type Explanation struct {
	ban.Explanation
	Standing string `json:"standing"`
}

// Why explains what is held against a client.
func (c *Client) Why(ctx context.Context, client string) (e Explanation, err error) {
	return e, c.call(ctx, http.MethodGet, clientsPath+"/"+url.PathEscape(client), nil, &e)
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.call(ctx, http.MethodPost, reloadPath, nil, &r)
}

// call sends in as JSON and reads the answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	// The host is a formality: the transport knows where to connect.
	req, err := http.NewRequestWithContext(ctx, method, "http://flask2ban"+path, body)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	return answer(resp, out)
}

func answer(resp *http.Response, out any) error {
	if resp.StatusCode >= http.StatusBadRequest {
		return problem(resp)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the daemon's answer: %w; is it of another version?", err)
	}
	return nil
}

func problem(resp *http.Response) error {
	var f failure
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return &apiError{resp.StatusCode, f.Error}
}

func (c *Client) unreachable(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the daemon with state directory %s answers its own user and root alone: ask with sudo", c.dir)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w with state directory %s: %w", ErrNotRunning, c.dir, op.Err)
	}
	return fmt.Errorf("ask the daemon of %s: %w", c.dir, err)
}

// Is lets callers tell "no such ban" from other refusals.
func (e *apiError) Is(target error) bool {
	return target == ErrNotFound && e.code == http.StatusNotFound
}
