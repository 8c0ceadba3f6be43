package hostname

import (
	"slices"
	"testing"
)

// TestCrawler: the User-Agents that the search engines document lead to their
// domains; those of people, tools and bots without a documented name lead to none.
func TestCrawler(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                                                        ".googlebot.com",
		"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36 (compatible; Google-InspectionTool/1.0;)": ".googlebot.com",
		"AdsBot-Google (+http://www.google.com/adsbot.html)":                                                                                                                              ".googlebot.com",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/125.0.0.0 Safari/537.36":                                    ".search.msn.com",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)":       ".applebot.apple.com",
		"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)":                                                                                                                ".yandex.ru",
		"Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)":                                                                                             ".baidu.com",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36":                                                                           "",
		"curl/8.5.0": "", "python-requests/2.31": "", "": "",
		"Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)": "",
	} {
		got := Crawler(agent)
		if want == "" && got != nil || want != "" && !slices.Contains(got, want) {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
		for _, domain := range got {
			if !slices.Contains(Crawlers(), domain) {
				t.Errorf("%s is missing among all domains", domain)
			}
		}
	}
}
