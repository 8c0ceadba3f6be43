package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/flask2ban/flask2ban/routes"
)

// Inspect asks the app for its url_map without serving it: the app is run
// until it would bind, or imported, and then ended. No port of it opens for
// that. Its output goes to c.Output as usual.
func Inspect(ctx context.Context, c Config) (routes.URLMap, error) {
	a, err := New(c)
	if err != nil {
		return routes.URLMap{}, err
	}
	defer a.socket.close()
	if err := adopt(); err != nil {
		return routes.URLMap{}, err
	}
	close(a.closed) // nobody hears of states and exceptions
	a.spawner.settings.inspect = true
	ctx, cancel := context.WithTimeout(ctx, a.config.StartTimeout)
	defer cancel()
	u, err := a.inspect(ctx)
	if err != nil {
		return routes.URLMap{}, fmt.Errorf("ask the app for its routes: %w", err)
	}
	return u, nil
}

// inspect runs the app, and once more where the script only defines one.
func (a *App) inspect(ctx context.Context) (routes.URLMap, error) {
	p, err := a.newPlace(true)
	if err != nil {
		return routes.URLMap{}, err
	}
	for {
		i, err := p.launch()
		if err != nil {
			return routes.URLMap{}, err
		}
		end := i.untilServed(ctx)
		select {
		case <-i.served:
			return i.urlMap, nil
		default:
		}
		end.lastSaid = i.errors.last()
		if ctx.Err() != nil {
			return routes.URLMap{}, fmt.Errorf("it did not say within %s", a.config.StartTimeout)
		}
		if !a.servesItself(end) {
			return routes.URLMap{}, errors.New(a.explain(end))
		}
	}
}

// untilServed ends the instance as soon as it has reported, has ended, or ctx
// has.
func (i *instance) untilServed(ctx context.Context) ending {
	var e exit
	select {
	case e = <-i.exited:
	case <-i.served:
		i.kill()
		e = <-i.exited
	case <-ctx.Done():
		i.kill()
		e = <-i.exited
	}
	i.finish(e)
	i.board.close()
	return ending{exit: e, bound: i.wasBound.Load()}
}
