# A stream that ends too early, its last events and the end arriving together or
# apart: what came is passed on, then an error event, never [DONE].

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    server { listen 127.0.0.1:%%PORT%%; llm_retry off; location / { llm_pass a; } }
EOC

my $some = '{"choices":[{"index":0,"delta":{"content":"some"}}]}';
my $more = '{"choices":[{"index":0,"delta":{"content":" more"}}]}';
my $error = '{"error":{"message":"x","code":500}}';
my $chunk = sub { my $e = join '', map { "data: $_\n\n" } @_; return sprintf "%x\r\n%s\r\n", length $e, $e };

my %ends = (
    'content with the end' => [ $chunk->($more) . "0\r\n\r\n" ],
    'content, then the end' => [ $chunk->($more), [ pause => 30 ], "0\r\n\r\n" ],
    'an error with the end' => [ $chunk->($error) . "0\r\n\r\n" ],
    'an error, then the end' => [ $chunk->($error), [ pause => 30 ], "0\r\n\r\n" ],
    'content and an error with the end' => [ $chunk->($more, $error) . "0\r\n\r\n" ],
    'content with a close' => [ $chunk->($more), [ 'fin' ] ],
    'content with a reset' => [ $chunk->($more), [ pause => 30 ], [ 'rst' ] ],
    'half an event with the end' => [ sprintf("%x\r\n%s\r\n", 20, substr "data: $more", 0, 20) . "0\r\n\r\n" ],
    'content and a broken chunk' => [ $chunk->($more) . "zz\r\n" ],
);

for my $name (sort keys %ends) {
    $up->reset;
    $up->on('/*' => [ [ begin => '' ], [ event => $some ], [ pause => 40 ],
                      (map { ref $_ ? $_ : [ raw => $_ ] } @{ $ends{$name} }), 'ended' ]);
    my @r = $gw->many(10, map { [ POST => '/v1/chat/completions', {}, chat_body('m', stream => JSON::PP::true()) ] } 1 .. 5);
    my $want = $name =~ /^content/ ? 'some more' : 'some';
    is((grep { Test::LLM::Sse::text(Test::LLM::Sse::events($_)) =~ /^\Q$want\E$/ } @r), 5, "$name: what came is passed on")
        or diag $r[0]->wire;
    is((grep { Test::LLM::Sse::error(Test::LLM::Sse::events($_)) } @r), 5, '... an error event');
    is((grep { $_->body =~ /\[DONE\]/ } @r), 0, '... no [DONE]');
}

finish();
