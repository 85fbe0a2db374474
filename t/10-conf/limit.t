# Mistakes in llm_limit and llm_budget stop nginx -t with file, line, the word
# and what was expected.

use lib 't/lib';
use Test::LLM;

sub try {
    my ($http, $location) = @_;
    my $gw = Test::LLM::Gateway->new(conf => <<"EOC");
    llm_zone t:4m;
    llm_provider p { dialect openai; base_url http://127.0.0.1:1/v1; }
    llm_provider q { dialect openai; base_url http://127.0.0.1:1/v1; }
    llm_model dear { provider p; id x; price input=1 output=2; }
    llm_model free { provider p; id y; }
    llm_route both { target dear; target free; }
    llm_split s { variant a dear 50%; variant b free 50%; }
    $http
    server { listen 127.0.0.1:%%PORT%%; $location }
EOC
    return $gw->test_conf;
}

sub refused {
    my ($name, $re, $location, $http) = @_;
    my ($code, $out) = try($http // '', $location);
    subtest $name => sub {
        isnt($code, 0, 'refused');
        like($out, $re, 'says why');
        like($out, qr/\[emerg\].* in \S+nginx\.conf:\d+/, 'file and line');
    };
}

sub accepted {
    my ($name, $re, $location, $http) = @_;
    my ($code, $out) = try($http // '', $location);
    subtest $name => sub {
        is($code, 0, 'accepted') or diag $out;
        $re ? like($out, $re, 'says') : unlike($out, qr/\[(?:warn|emerg)\]/, 'quiet');
    };
}

sub at { "location / { llm_pass dear; $_[0] }" }
sub by { "location / { llm_pass dear; llm_auth on; $_[0] }" }

accepted('all words of a limit', undef, by('llm_limit per=client 60r/m 100000t/m 5000i/m 2000o/m 600s/h 5r/d 9r/M parallel=10 without_redis=closed local dry_run;'));
accepted('a clock and a reset', undef, at('llm_limit 10r/h clock=calendar reset=06:30@Europe/Berlin; llm_limit 10r/h clock=refill;'));
accepted('expressions', undef, at('llm_limit per=$http_x_team 1r/m; llm_limit per=$remote_addr/$http_x_a 1r/m;'));
accepted('all words of a budget', undef, by('llm_budget per=org 50usd/h 500usd/d 2000usd/M warn=70% at=95% degrade to=free reset=00:00@Asia/Tehran webhook=https://example.com/x without_redis=open;'));
accepted('off at every level', undef, at('llm_limit off; llm_limit 1r/m; llm_budget off;'), 'llm_limit 1r/m; llm_budget 1usd/h;');
accepted('the same rule in several places', undef, at('llm_limit 1r/m; llm_limit 1r/m;'), 'llm_limit 1r/m;');
accepted('soft budgets need no price', undef, 'location / { llm_pass free; llm_budget 1usd/h alert; llm_budget 2usd/h dry_run; }');
accepted('nobody is known', qr/\[warn\].*"client 60r\/m" never applies: it holds in no location with "llm_auth"/, at('llm_limit per=client 60r/m;'));
accepted('somebody is, somewhere', undef, by('') . ' location /open/ { llm_pass dear; }', 'llm_limit per=client 60r/m; llm_budget per=org 1usd/h;');
accepted('a target without a price is told', qr/\[warn\].*llm_model "free" has no "price", so budget "1usd\/h" cannot allow it/, 'location / { llm_pass both; llm_budget 1usd/h; }');

refused('nothing', qr/invalid number of arguments in "llm_limit"/, at('llm_limit;'));
refused('no limit', qr/"llm_limit" says not how much, expected something like "60r\/m"/, at('llm_limit per=client;'));
refused('no amount', qr/"llm_budget" says not how much, expected something like "50usd\/d"/, at('llm_budget per=client alert;'));
refused('an unknown unit', qr/invalid parameter "60x\/m", expected a number, a unit .*"60r\/m"/, at('llm_limit 60x/m;'));
refused('zero', qr/invalid parameter "0r\/m"/, at('llm_limit 0r/m;'));
refused('money in llm_limit', qr/invalid parameter "5usd\/h"/, at('llm_limit 5usd/h;'));
refused('requests in llm_budget', qr/invalid parameter "5r\/h", expected an amount of money/, at('llm_budget 5r/h;'));
refused('money per minute', qr/invalid parameter "5usd\/m"/, at('llm_budget 5usd/m;'));
refused('whom?', qr/invalid parameter "per=klient", expected one of client, user, org, model, route or an expression/, at('llm_limit per=klient 1r/m;'));
refused('per=provider is for budgets', qr/invalid parameter "per=provider"/, at('llm_limit per=provider 1r/m;'));
refused('whom twice', qr/duplicate parameter "per=user"/, at('llm_limit per=client per=user 1r/m;'));
refused('an unknown mode', qr/without_redis.*"perhaps".*safe, open, closed|"perhaps".*safe/, at('llm_limit 1r/m without_redis=perhaps;'));
refused('a month that slides', qr/a limit per month needs "clock=calendar"/, at('llm_limit 1r/M clock=sliding;'));
refused('a clock for nothing', qr/"clock" needs a limit with a window/, at('llm_limit parallel=1 clock=refill;'));
refused('a reset for nothing', qr/"reset" needs a limit of the calendar clock/, at('llm_limit 1r/m reset=00:00;'));
refused('an odd reset', qr/invalid time "reset=25:00"/, at('llm_limit 1r/d reset=25:00;'));
refused('an unknown zone', qr/unknown time zone "Moon\/Base"/, at('llm_limit 1r/d reset=00:00@Moon/Base;'));
refused('off twice', qr/"llm_limit" directive is duplicate/, at('llm_limit off; llm_limit off;'));
refused('degrade to nowhere', qr/"degrade" and "to=ROUTE" need each other/, at('llm_budget 1usd/h degrade;'));
refused('to without degrade', qr/"degrade" and "to=ROUTE" need each other/, at('llm_budget 1usd/h to=free;'));
refused('an unknown route', qr/unknown route or model "cheap", known: .*both/, at('llm_budget 1usd/h degrade to=cheap;'));
refused('degrade to a split', qr/"s" is a split.*but a route or a model is expected/, at('llm_budget 1usd/h degrade to=s;'));
refused('two actions', qr/takes one of "refuse", "degrade" and "alert"/, at('llm_budget 1usd/h refuse alert;'));
refused('a provider cannot degrade', qr/a budget per provider cannot "degrade"/, at('llm_budget per=provider 1usd/h degrade to=free;'));
refused('a share above all', qr/invalid value "at=101%"/, at('llm_budget 1usd/h at=101%;'));
refused('an odd share', qr/invalid value "warn=most"/, at('llm_budget 1usd/h warn=most;'));
refused('an odd URL', qr/"webhook=" needs an http:\/\/ or https:\/\/ URL/, at('llm_budget 1usd/h webhook=ftp://x;'));
refused('a hard budget without any price', qr/llm_model "free" has no "price", so budget "client 1usd\/h" cannot allow it/, 'location / { llm_pass free; llm_budget per=client 1usd/h; }');
refused('... of a provider', qr/llm_provider "q" has no "price"/, 'location / { llm_pass q; llm_budget 1usd/h; }');
refused('... in a split', qr/llm_model "free" has no "price"/, 'location / { llm_pass s; llm_budget 1usd/h; }');
refused('too many', qr/is one rule too many for a location, 31 are possible, of them 3 per provider/, at(join ' ', map { "llm_limit ${_}r/m;" } 1 .. 33));
refused('in a provider', qr/unknown directive "llm_limit"/, '', 'llm_provider z { dialect mock; llm_limit 1r/m; }');

finish();
