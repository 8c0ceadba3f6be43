package hostname

import "strings"

// crawlers are the search engines that document their crawlers' host names, by a
// word of the User-Agent:
//   - https://developers.google.com/search/docs/crawling-indexing/verifying-googlebot
//   - https://www.bing.com/webmasters/help/how-to-verify-bingbot-3905dc26
//   - https://support.apple.com/119829 (Applebot)
//   - https://yandex.com/support/webmaster/robot-workings/check-yandex-robots.html
//   - https://help.baidu.com/question?prod_id=99&class=0&id=3001 (Baiduspider)
var crawlers = []struct {
	agents  []string
	domains []string
}{
	{[]string{"Googlebot", "Google-", "-Google", "GoogleOther"}, []string{".googlebot.com", ".google.com"}},
	{[]string{"bingbot", "BingPreview", "adidxbot"}, []string{".search.msn.com"}},
	{[]string{"Applebot"}, []string{".applebot.apple.com"}},
	{[]string{"Yandex"}, []string{".yandex.ru", ".yandex.net", ".yandex.com"}},
	{[]string{"Baiduspider"}, []string{".baidu.com", ".baidu.jp"}},
}

// Crawler returns the domains in which the crawler that a User-Agent names has
// its host name, for [Resolver.Match]; nil where it names none. Anyone can claim
// to be one: only the host name proves it.
func Crawler(agent string) []string {
	for _, c := range crawlers {
		for _, word := range c.agents {
			if strings.Contains(agent, word) {
				return c.domains
			}
		}
	}
	return nil
}

// Crawlers returns the domains of all of them.
func Crawlers() []string {
	var domains []string
	for _, c := range crawlers {
		domains = append(domains, c.domains...)
	}
	return domains
}
