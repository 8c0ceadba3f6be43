package routes_test

import (
	"fmt"

	"github.com/flask2ban/flask2ban/routes"
)

func ExampleTable_Match() {
	table, err := routes.NewTable(routes.TableConfig{
		Project: &routes.Project{
			Complete: true,
			Options:  routes.Options{StrictSlashes: true, MergeSlashes: true, Werkzeug: "3.1.3"},
			Routes: []routes.Route{
				{Rule: "/user/<int:id>", Methods: []string{"GET", "HEAD", "OPTIONS"}, StrictSlashes: true, MergeSlashes: true, File: "app.py", Line: 9},
			},
		},
		Lists: routes.DefaultLists(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range []string{"/user/7", "/user/x", "/users/7", "/.env", "/favicon.ico"} {
		fmt.Println(target, table.Match("example.com", "GET", target).Kind)
	}
	fmt.Println(table.Explain("example.com", "GET", "/users/7").Why)
	// Output:
	// /user/7 route
	// /user/x bad_value
	// /users/7 unexpected_path
	// /.env honeypath
	// /favicon.ico benign
	// `/users/7` is not a route; nearest: `/user/<int:id>` (app.py:9)
}
