# How long to wait: every form in which providers say it.  With one key and no
# other target the answer's Retry-After shows what was understood.

use lib 't/lib';
use Test::LLM;
use POSIX qw(strftime);

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
    env => { map { ("K$_\_KEY" => "sk-key-$_-xx") } 1 .. 40 }, conf => <<"EOC")->start;
    llm_zone t:8m;
    @{[ map { "llm_provider p$_ { dialect openai; base_url http://127.0.0.1:%%UP%%/$_/v1; key env:K$_\_KEY; breaker off; }\n" } 1 .. 40 ]}
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 1 backoff=1ms..2ms;
        @{[ map { "location /$_/ { llm_pass p$_; }\n" } 1 .. 40 ]}
    }
EOC

my $n = 0;

# wait: [ from, to ] seconds of Retry-After
sub hint {
    my ($name, $script, $status, $wait) = @_;
    my $i = ++$n;
    $up->on("/$i/*" => $script);
    my $r = chat($gw, 'm', path => "/$i/v1/chat/completions");

    subtest $name => sub {
        is($r->status, $status, "status $status") or diag $r->wire;
        my $got = $r->header('retry-after');
        if ($wait) {
            ok(defined $got && $got =~ /^\d+$/ && $got >= $wait->[0] && $got <= $wait->[1],
               "Retry-After between $wait->[0] and $wait->[1]") or diag $got // 'none';
        }
        is($up->count("/$i/*"), 1, 'one send');
        chat($gw, 'm', path => "/$i/v1/chat/completions");
        is($up->count("/$i/*"), 1, 'and no second while it rests');
    };
}

sub file { [ [ 'http-file', fixture($_[0]) ] ] }
sub r429 { my (%h) = @_; my $b = delete $h{body} // '{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}'; return reply(429, { %h }, $b) }
sub date { strftime '%a, %d %b %Y %H:%M:%S GMT', gmtime $_[0] }

hint('Retry-After in seconds', r429('Retry-After' => 40), 429, [ 40, 45 ]);
hint('... with a fraction', r429('Retry-After' => '39.5'), 429, [ 39, 45 ]);
hint('retry-after-ms wins', r429('Retry-After' => 90, 'retry-after-ms' => 30_000), 429, [ 30, 34 ]);
hint('a date', r429('Retry-After' => date(time + 50)), 429, [ 47, 56 ]);
hint('a date by the provider\'s clock', r429('Retry-After' => date(time + 3650), Date => date(time + 3600)), 429, [ 45, 56 ]);
hint('a reset header', r429('x-ratelimit-remaining-requests' => 0, 'x-ratelimit-reset-requests' => '1m30.5s'), 429, [ 90, 101 ]);
hint('the reset of what is used up', r429('x-ratelimit-remaining-requests' => 5, 'x-ratelimit-reset-requests' => '9m0s',
     'x-ratelimit-remaining-tokens' => 0, 'x-ratelimit-reset-tokens' => '25s'), 429, [ 25, 28 ]);
hint('a sentence', r429(body => '{"error":{"message":"Rate limit reached. Please try again in 44.2s.","type":"tokens","code":"rate_limit_exceeded"}}'), 429, [ 44, 50 ]);
hint('a sentence in minutes', r429(body => '{"error":{"message":"Please try again in 1m14.5s.","type":"tokens","code":"rate_limit_exceeded"}}'), 429, [ 74, 83 ]);
hint('Gemini, in an array', r429(body => '[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36s"}]}}]'), 429, [ 36, 41 ]);
hint('no hint', file('openai/error.429-no-hint.http'), 429, [ 28, 34 ]);
hint('an absurd hint: negative', r429('Retry-After' => -1), 429, [ 28, 34 ]);
hint('an absurd hint: a date long past', r429('Retry-After' => 'Thu, 01 Jan 1970 00:00:00 GMT'), 429, [ 28, 34 ]);
hint('an absurd hint: years', r429('Retry-After' => '99999999'), 429, [ 3600, 25 * 3600 + 9100 ]);
hint('an absurd hint: words', r429('Retry-After' => 'soon'), 429, [ 28, 34 ]);
hint('a day\'s quota with numbers', r429(body => '{"error":{"message":"Rate limit reached for model `x` in organization `org_1` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s.","type":"tokens","code":"rate_limit_exceeded"}}'), 429, [ 570, 650 ]);
hint('insufficient quota', file('openai/error.429-quota-credit.http'), 502, undef);
hint('OpenRouter, epoch ms in the body', r429(body => '{"error":{"code":429,"message":"Rate limit exceeded: free-models-per-day","metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"' . (int(time) + 7200) . '000"}}}}'), 429, [ 7000, 8000 ]);
hint('an HTML 429', r429(body => '<html>Too many</html>', 'Retry-After' => 33), 429, [ 33, 37 ]);
hint('an empty 429', r429(body => '', 'Retry-After' => 33), 429, [ 33, 37 ]);
hint('a JSON string 429', r429(body => '"no"', 'Retry-After' => 33), 429, [ 33, 37 ]);

# a short wait of the only key is waited for
my $i = ++$n;
$up->on("/$i/*" => r429('Retry-After' => 1), ok_chat('after a second'));
my $r = chat($gw, 'm', path => "/$i/v1/chat/completions");
is($r->status, 200, 'a short Retry-After of the only key is waited for');
my @at = map { $_->{at} } $up->received("/$i/*");
is(scalar @at, 2, '... and asked again');
cmp_ok($at[1] - $at[0], '>=', 0.95, '... not earlier than told');
cmp_ok($at[1] - $at[0], '<', 3, '... nor much later');

finish();
