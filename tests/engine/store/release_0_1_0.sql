BEGIN TRANSACTION;
CREATE TABLE agents (
	id VARCHAR(40) NOT NULL, 
	display_name VARCHAR(50) NOT NULL, 
	description VARCHAR(500), 
	strategy_type VARCHAR(100), 
	risk_profile VARCHAR(20), 
	avatar_url VARCHAR(2048), 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_agents PRIMARY KEY (id)
);
INSERT INTO "agents" VALUES('agent_local','Local agent',NULL,NULL,NULL,NULL,1750075200.0);
INSERT INTO "agents" VALUES('agent_01m8g99mfmp8j4twn1txkmp8bv','Probe',NULL,NULL,NULL,NULL,1750075200.0);
CREATE TABLE api_keys (
	id VARCHAR(40) NOT NULL, 
	agent_id VARCHAR(40) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	tier VARCHAR(20) NOT NULL, 
	scopes VARCHAR(100) NOT NULL, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE CASCADE, 
	CONSTRAINT uq_api_keys_digest UNIQUE (digest)
);
INSERT INTO "api_keys" VALUES('key_01m8g99f2xmp5v0c9j5sxs87ss','agent_local','cc42c0d8b595bce048707beca03906a5d2e0b80c1aa83a3b676c72b2cc498dcd','local','research,read,trade',1750075200.0,NULL);
INSERT INTO "api_keys" VALUES('key_01m8g99mfmp8j4twn1v18bhmmv','agent_01m8g99mfmp8j4twn1txkmp8bv','e83ff31d69cb39b5fca587ce360b46158fe3101203f552f64d4b22342b98ab64','provisional','research',1750075200.0,1750161600.0);
CREATE TABLE arena_follows (
	follower_id VARCHAR(40) NOT NULL, 
	followed_id VARCHAR(40) NOT NULL, 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_arena_follows PRIMARY KEY (follower_id, followed_id), 
	CONSTRAINT fk_arena_follows_follower_id FOREIGN KEY(follower_id) REFERENCES agents (id) ON DELETE CASCADE, 
	CONSTRAINT fk_arena_follows_followed_id FOREIGN KEY(followed_id) REFERENCES agents (id) ON DELETE CASCADE
);
CREATE TABLE arena_posts (
	id VARCHAR(40) NOT NULL, 
	agent_id VARCHAR(40) NOT NULL, 
	category VARCHAR(20) NOT NULL, 
	title VARCHAR(200) NOT NULL, 
	content TEXT, 
	tags TEXT NOT NULL, 
	result_id VARCHAR(40), 
	created_at FLOAT NOT NULL, 
	CONSTRAINT pk_arena_posts PRIMARY KEY (id), 
	CONSTRAINT fk_arena_posts_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE CASCADE
);
INSERT INTO "arena_posts" VALUES('post_01m8g99mfcee4yqdswc8s5rd6y','agent_local','show_tell','First','x','[]',NULL,1750075200.0);
CREATE TABLE backtest_jobs (
	id VARCHAR(40) NOT NULL, 
	agent_id VARCHAR(40) NOT NULL, 
	status VARCHAR(12) NOT NULL, 
	progress FLOAT NOT NULL, 
	message TEXT, 
	result_id VARCHAR(40), 
	spec TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	started_at FLOAT, 
	finished_at FLOAT, 
	attempts INTEGER NOT NULL, 
	owner VARCHAR(120), 
	heartbeat FLOAT NOT NULL, 
	CONSTRAINT pk_backtest_jobs PRIMARY KEY (id)
);
INSERT INTO "backtest_jobs" VALUES('bt_01m8g99f87jmab28kw9gmvq0e5','agent_local','completed',1.0,NULL,'res_01m8g99m3wbbb42h78g2md8gsz','{"strategy_type": "signal", "script": "emit_signal(crossover(close, sma(close, 20)), entry(TICKER, \"LONG\", Weight(0.5), stop_loss=0.05))", "generated": false, "mode": "isolated", "exchange": "binance", "tickers": ["BINANCE:BTC/USDT"], "timeframe": "1h", "start": 1704067200, "end": 1704931200, "start_date": "2024-01-01", "end_date": "2024-01-10", "as_of": 1750075200.0, "initial_cash": 10000.0, "leverage": 1.0, "trading_fee": 0.0005, "slippage": 0.0005, "stop_loss": null, "take_profit": null, "description": null, "parameters": {"market_type": null}, "warnings": []}',1750075200.0,1750075200.0,1750075200.0,1,'vm:17042:a12ee56c',1.79584295243062067029e+09);
CREATE TABLE backtest_results (
	id VARCHAR(40) NOT NULL, 
	job_id VARCHAR(40) NOT NULL, 
	agent_id VARCHAR(40) NOT NULL, 
	created_at FLOAT NOT NULL, 
	market VARCHAR(64) NOT NULL, 
	start BIGINT NOT NULL, 
	"end" BIGINT NOT NULL, 
	variant VARCHAR(64) NOT NULL, 
	sharpe FLOAT, 
	summary TEXT NOT NULL, 
	metrics TEXT NOT NULL, 
	analysis TEXT NOT NULL, 
	tickers TEXT NOT NULL, 
	trade_labels TEXT NOT NULL, 
	trades BLOB NOT NULL, 
	equity BLOB NOT NULL, 
	CONSTRAINT pk_backtest_results PRIMARY KEY (id), 
	CONSTRAINT fk_backtest_results_job_id FOREIGN KEY(job_id) REFERENCES backtest_jobs (id) ON DELETE CASCADE
);
INSERT INTO "backtest_results" VALUES('res_01m8g99m3wbbb42h78g2md8gsz','bt_01m8g99f87jmab28kw9gmvq0e5','agent_local',1750075200.0,'3444a7466fdaa3fd458f320aeb213544',1704067200,1704931200,'d2466ff3a6c82a0d6297bf434971b0b2',-1.80541956666747527293e+00,'{"strategy_type": "signal", "description": null, "universe": ["BINANCE:BTC/USDT"], "timeframe": "1h", "start_date": "2024-01-01", "end_date": "2024-01-10", "buy_and_hold": {"total_return_pct": -6.290345269931008, "max_drawdown": -0.11838332115759487, "sharpe_ratio": -4.37740690508089}, "assumptions": {"exchange": "binance", "market_type": "spot", "timeframe": "1h", "mode": "isolated", "start": "2024-01-01T00:00:00Z", "end": "2024-01-11T00:00:00Z", "bars": 240, "warmup_bars": 20, "initial_cash": 10000.0, "quote_currency": "USDT", "leverage": 1.0, "trading_fee": 0.0005, "slippage": 0.0005, "stop_loss": null, "take_profit": null, "fill_timing": "decided at a bar''s close, filled at the next bar''s open", "periods_per_year": 8760.0, "data_source": "simulated", "parameters": null}, "best_trades": [{"ticker": "BINANCE:BTC/USDT", "side": "long", "amount": 0.04034317487132871, "entry_time": 1704337200.0, "exit_time": 1704931200.0, "entry_price": 120748.44405, "exit_price": 124146.6956, "fees": 4.939923722019207, "pnl": 132.1563328163947, "return_pct": 2.7129161008638283, "bars_held": 164, "exit_reason": "end_of_data", "tag": null, "trade_id": 2}, {"ticker": "BINANCE:BTC/USDT", "side": "long", "amount": 0.0377792621904733, "entry_time": 1704070800.0, "exit_time": 1704207600.0, "entry_price": 132347.7408, "exit_price": 125667.48858312001, "fees": 4.8738125000000005, "pnl": -257.2488124999997, "return_pct": -5.144976249999994, "bars_held": 38, "exit_reason": "stop_loss", "tag": null, "trade_id": 1}], "worst_trades": [], "warnings": ["Only 2 trades: too few to tell skill from luck; aim for 30 or more.", "One trade made 100% of all gains.", "132.16 of the -125.09 made is still open at the end.", "The first half returned -1.59 %, the second 0.34 %.", "Prices are simulated: the run shows how the strategy behaves, not that it would have earned anything.", "10 days see one kind of market only; try a year or more."], "script": "emit_signal(crossover(close, sma(close, 20)), entry(TICKER, \"LONG\", Weight(0.5), stop_loss=0.05))", "script_generated": false}','{"bars": 240, "periods_per_year": 8760.0, "total_return_pct": -1.2509247968360282, "annual_return": -0.3683800279812762, "volatility": 0.23876563868546505, "sharpe_ratio": -1.8054195666674753, "sortino_ratio": -2.539380955336829, "calmar_ratio": -9.130744756819412, "max_drawdown": -0.04034501432165727, "max_drawdown_bars": 197, "time_under_water": 0.9791666666666666, "num_trades": 2, "win_rate": 0.5, "profit_factor": 0.5137296127125751, "average_trade": -62.5462398418025, "average_trade_pct": -1.2160300745680828, "average_win": 132.1563328163947, "average_loss": 257.2488124999997, "expectancy": -0.24313519364371244, "best_trade": 132.1563328163947, "worst_trade": -257.2488124999997, "best_trade_pct": 2.7129161008638283, "worst_trade_pct": -5.144976249999994, "average_bars_held": 101.0, "max_consecutive_losses": 1, "exposure": 0.8416666666666667, "turnover": 19627.472444038416, "total_fees": 9.813736222019209, "total_slippage": 9.813709855760042, "final_equity": 9874.907520316397, "long_trades": 2, "short_trades": 0, "liquidations": 0, "skewness": 0.09675602201663785, "kurtosis": 7.990098591326362, "buy_and_hold": {"total_return_pct": -6.290345269931008, "max_drawdown": -0.11838332115759487, "sharpe_ratio": -4.37740690508089}}','{"drivers": ["2 trades made -125.09 (-1.25 %) after 19.63 of costs; holding returned -6.29 %.", "By exit: stop_loss -257.25, end_of_data +132.16.", "First half -1.59 %, second half 0.34 %; in a position on 84% of the bars.", "With every decision one bar later it returns -1.17 %."], "findings": [{"code": "few_trades", "severity": "critical", "message": "Only 2 trades: too few to tell skill from luck; aim for 30 or more."}, {"code": "one_trade_dominates", "severity": "warning", "message": "One trade made 100% of all gains."}, {"code": "open_at_end", "severity": "warning", "message": "132.16 of the -125.09 made is still open at the end."}, {"code": "halves_disagree", "severity": "warning", "message": "The first half returned -1.59 %, the second 0.34 %."}, {"code": "simulated_data", "severity": "warning", "message": "Prices are simulated: the run shows how the strategy behaves, not that it would have earned anything."}, {"code": "short_range", "severity": "warning", "message": "10 days see one kind of market only; try a year or more."}], "facts": {"days": 10.0, "bars": 240, "num_trades": 2, "total_return_pct": -1.2509247968360282, "hold_return_pct": -6.290345269931008, "max_drawdown": -0.04034501432165727, "net": -125.0924796836025, "gross_before_costs": -105.46503360582325, "costs": 19.62744607777925, "gross_profit": 132.1563328163947, "best": 132.1563328163947, "top3": -125.092479683605, "exposure": 0.8416666666666667, "delayed_pct": -1.1711590797748417, "first_half_pct": -1.5856207528125332, "second_half_pct": 0.34008846932402914, "first_half_sharpe": -5.1850301415690145, "second_half_sharpe": 1.0930967467624761, "by_reason": {"stop_loss": -257.2488124999997, "end_of_data": 132.1563328163947}, "by_ticker": {"BINANCE:BTC/USDT": -125.092479683605}, "by_side": {"long": -125.092479683605}, "unfinished": 132.1563328163947, "liquidations": 0, "ended_early": null, "data_source": "simulated"}}','[{"ticker": "BINANCE:BTC/USDT", "num_trades": 2, "win_rate": 0.5, "pnl": -125.092479683605, "contribution_pct": -1.2509247968360502, "profit_factor": 0.5137296127125751, "fees": 9.813736222019209, "buy_and_hold_pct": -6.290345269931008, "data_source": "simulated"}]','{"tickers": ["BINANCE:BTC/USDT"], "reasons": ["signal", "stop_loss", "take_profit", "trailing_stop", "liquidation", "portfolio_stop", "portfolio_target", "end_of_data", "resolution", "rebalance", "grid"], "tags": [null], "times": [[1704070800, 240]], "step": 3600}',X'0000000000000000000000000000F03F7A7226AFCD57A33F000000A48364D9410000003C0965D941E78C28EDDD2700419D883CD137AEFE40115839B4C87E13405BE5D022FB1370C06AC971A7749414C00000000000004340000000000000F03F00000000000000000000000000000000000000000000F03F58DA6051DCA7A43F000000CC8765D941000000E0CB67D9413D2CD41AC77AFD4032772D212B4FFE40763A3B5D7BC213409EB6ADAD008560400E04505B0DB4054000000000008064400000000000001C400000000000000000',X'000000000088C34016521D223483C3404981DA439E75C34036CD04F2638BC340861125981D82C3406D2CF7A69182C3405809196A0E83C34022E49DC63C8BC3409801CA4A9172C34014DEB79A5C77C3407C58E1C8F8A0C34073D7CF487983C340A0FFD6281293C3402A96A2B8AF96C34061D9C0BE2D98C340B0E415FBF992C34060F037D14E97C340187F4D684698C3408A1F7D383497C34086AE1BA8A895C340D90626CE568EC340E44695425487C340D8462FBF907AC340C6A3512DC06DC3403EE9505B9873C3403251C7729271C3403A03CC64057DC340E2305373827EC34073C2B085358BC340146BEC833289C340FB6C78CC8876C3403EB85DE9A485C340747F2C399087C34068C853466F78C340EE67B5AC3673C34089F686822268C34016D0D7B4CA54C340DCF24F31EE3CC340123065F36E44C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340D678E9266007C340B2D8404C1101C3401AF8836F1505C34020F28BBD3E01C340C41F8162A6F4C24022CBB9D64101C3407FDFBBDA1A03C34043027A172E04C340C3958F847A04C340949004FB2EFBC24049409335AB11C340BAFF28E7B504C340EC3663A9B90DC340526EBDD63B2AC340C032708D4B14C3409501F617FE13C34038CC24B9D217C340F4207C7AF614C340AD9121C4F712C3409F1D652E571AC340F0A4AD0B6CFCC24076B304543907C340E9B0013D8906C34032CB33585907C3403668782E9A19C340FC150ED07E19C3401CB1C8B46B19C34010B7B58C6E1BC340F25ED8D7671FC3406CBB162D2327C340C99DC2EBDF29C3406D94EB528A26C340504CAF01A820C340342681855924C340712FBD0E1C1CC3409070104DAE0DC3406CE075F9700AC340407DA53E070BC3407B5F5DFA9401C340A23D00E93B07C340CA95F351EA06C34054E780BD3916C340FC3C39AA171AC3404689C10A041AC340279C2000EA2FC34090CCEA0DB838C340C6B30DE81225C34044E376CA2627C3407A2FD3C2C31FC340DFF5E2DFDA22C34076183E727B13C340EB14AEC7C104C340E384FC9CDF0BC340FDCC86078A10C3406FE6835FEF11C3400EEECFE3F310C34071F5972F0AFAC2406CB3EE9F9103C3408EBD27879EFFC240A82B5038D8F6C24099C6F58B1AE5C240865C730084DAC2407A83D63F3DD6C2409C88992EA9DAC240B5087D6A1AE4C24014A3E0DA23EDC24058C8D99307EAC240FA566D0BE2FEC2405E67436B2F1AC34044ED62BB6816C340208366AEBA05C3409142FC5FC5F8C24044A3F56BCEFEC240809C90916C00C340DD09BBC15E01C340F03588FCE700C34028D6EF1B9901C340FCFD9DD26400C340CAF3EA6940FEC240B3DEF5BEF307C340786B6312EA0CC3408F813E44DC11C340D831C148C90EC34027B051D5090FC34008F99681070DC3402E634575ED1EC34004807AA76D20C34038C15241EB19C340920DFC2F531FC340D8EE3C0C7F0BC34072AE8381C40DC340A8CC7299DCF0C2400CBAAD908CF4C24025828B01E9F8C240A8A0D1C6A2F8C2409C74685989FBC240E8DD8896680DC340BEDE6466370CC3401AB0893A2A0AC34042FDAA2BF10BC34042731241611CC34024CCF8508310C3403672BD127809C3401E4B5BF6BBFFC240A458CCB7E3FBC240F0EA8AE90A2BC340037BABBB3028C34006D485CE8128C3400034E526B33AC3405F54F81CB549C34078FF96A4BA3CC34092320AB39F53C34016E613CE6C41C3403103E3EC825CC3403EBF40C4724FC340183B057C2658C3407505F0F3C792C34052F80478CA6AC340078082510872C3408CF1EDB6306BC340A0B364CE7267C34080BF81BD6C68C340C7F55A54B66AC340DE05DA066269C340BFFBF912F16DC340B0A2B0585C69C3406CB510713F71C340E8EA7CDFFD78C34094342FB48671C340C2067E71106DC340E6AC15A8B86CC340EC10CD0CC56CC3402E3D56E55C7DC3400E82B22CC391C3407039AE79BFACC3406EB4329434B4C340F967A07C71A4C340356C0D1AF7A3C3404208821D3AABC3401489FF0C83A8C340AA6963F6E2A3C3408C49DF12A3ACC3405E0DE13E36ADC340FAE2D67D1EADC340101A2817C7ABC340881730DAEAACC340AFD31DE799A9C3408B22B4380AACC340CFFFB2BC02AEC34080812230C2ADC340EE9A14AE53ADC340631817848DADC34058D0ADA75EAEC340C6C2CD3EF3ADC340907A5AABED9EC340AABC8896519DC340EC076EAF8C8BC3400EEA95355B78C340BADB05657080C3402CC87B63F67AC34042B6EC400E70C3402AE422DF6F7CC340C6F171EF1E81C34057BCCD1B407EC34094914045375AC340B12FA0297449C340');
CREATE TABLE broker_accounts (
	id INTEGER NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	account_id VARCHAR(64) NOT NULL, 
	exchange VARCHAR(32) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	opening VARCHAR(128) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_broker_accounts PRIMARY KEY (id), 
	CONSTRAINT uq_broker_accounts_owner_account_id UNIQUE (owner, account_id)
);
INSERT INTO "broker_accounts" VALUES(1,'agent_local','paper-binance','binance','Binance paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(2,'agent_local','paper-binancefuturesusd','binancefuturesusd','Binance USD-M paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(3,'agent_local','paper-upbit','upbit','Upbit paper account','14000000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(4,'agent_local','paper-gate','gate','Gate.io paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(5,'agent_local','paper-gatefutures','gatefutures','Gate Futures paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(6,'agent_local','paper-hyperliquid','hyperliquid','Hyperliquid paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(7,'agent_local','paper-lighter','lighter','Lighter paper account','10000','active',1750075200000);
INSERT INTO "broker_accounts" VALUES(8,'agent_local','paper-polymarket','polymarket','Polymarket paper account','10000','active',1750075200000);
CREATE TABLE broker_balances (
	account INTEGER NOT NULL, 
	book VARCHAR(16) NOT NULL, 
	asset VARCHAR(128) NOT NULL, 
	amount VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_broker_balances PRIMARY KEY (account, book, asset), 
	CONSTRAINT fk_broker_balances_account FOREIGN KEY(account) REFERENCES broker_accounts (id)
);
INSERT INTO "broker_balances" VALUES(3,'free','KRW','14000000');
INSERT INTO "broker_balances" VALUES(4,'free','USDT','10000');
INSERT INTO "broker_balances" VALUES(5,'free','USDT','10000');
INSERT INTO "broker_balances" VALUES(6,'free','USDC','10000');
INSERT INTO "broker_balances" VALUES(7,'free','USDC','10000');
INSERT INTO "broker_balances" VALUES(8,'free','USDC','10000');
INSERT INTO "broker_balances" VALUES(1,'free','BTC','0.01');
INSERT INTO "broker_balances" VALUES(1,'free','USDT','7796.916117');
INSERT INTO "broker_balances" VALUES(1,'held','USDT','1001');
INSERT INTO "broker_balances" VALUES(2,'free','USDT','9252.405152');
INSERT INTO "broker_balances" VALUES(2,'margin','USDT','746.848');
INSERT INTO "broker_balances" VALUES(2,'position','ETH/USDT:USDT','-0.5');
CREATE TABLE broker_ledger (
	seq INTEGER NOT NULL, 
	account INTEGER NOT NULL, 
	posting VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	book VARCHAR(16) NOT NULL, 
	asset VARCHAR(128) NOT NULL, 
	amount VARCHAR(128) NOT NULL, 
	order_id VARCHAR(64), 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_broker_ledger PRIMARY KEY (seq), 
	CONSTRAINT fk_broker_ledger_account FOREIGN KEY(account) REFERENCES broker_accounts (id)
);
INSERT INTO "broker_ledger" VALUES(1,1,'post_01m8g99f3f0fx808smxyb2emvp','deposit','funding','USDT','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(2,1,'post_01m8g99f3f0fx808smxyb2emvp','deposit','free','USDT','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(3,2,'post_01m8g99f3hbjzt0je0b30k869c','deposit','funding','USDT','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(4,2,'post_01m8g99f3hbjzt0je0b30k869c','deposit','free','USDT','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(5,3,'post_01m8g99f3k42q5aww8ntg8qzwt','deposit','funding','KRW','-14000000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(6,3,'post_01m8g99f3k42q5aww8ntg8qzwt','deposit','free','KRW','14000000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(7,4,'post_01m8g99f3p6q2w6r1fbx1d617r','deposit','funding','USDT','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(8,4,'post_01m8g99f3p6q2w6r1fbx1d617r','deposit','free','USDT','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(9,5,'post_01m8g99f3rkjr8e0qafsp4md00','deposit','funding','USDT','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(10,5,'post_01m8g99f3rkjr8e0qafsp4md00','deposit','free','USDT','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(11,6,'post_01m8g99f3thb7x00qv2mbaj3fv','deposit','funding','USDC','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(12,6,'post_01m8g99f3thb7x00qv2mbaj3fv','deposit','free','USDC','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(13,7,'post_01m8g99f3w73wtc5z21ms140mx','deposit','funding','USDC','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(14,7,'post_01m8g99f3w73wtc5z21ms140mx','deposit','free','USDC','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(15,8,'post_01m8g99f3x72ehf0px70jan555','deposit','funding','USDC','-10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(16,8,'post_01m8g99f3x72ehf0px70jan555','deposit','free','USDC','10000',NULL,1750075200000);
INSERT INTO "broker_ledger" VALUES(17,1,'post_01m8g99f5j4h5ey5we0khhbez8','fill','free','BTC','0.01','api-01m8g99f5dppscvc7x9mp0xj9m',1750075200000);
INSERT INTO "broker_ledger" VALUES(18,1,'post_01m8g99f5j4h5ey5we0khhbez8','fill','venue','BTC','-0.01','api-01m8g99f5dppscvc7x9mp0xj9m',1750075200000);
INSERT INTO "broker_ledger" VALUES(19,1,'post_01m8g99f5j4h5ey5we0khhbez8','fill','free','USDT','-1202.083883','api-01m8g99f5dppscvc7x9mp0xj9m',1750075200000);
INSERT INTO "broker_ledger" VALUES(20,1,'post_01m8g99f5j4h5ey5we0khhbez8','fill','venue','USDT','1200.883','api-01m8g99f5dppscvc7x9mp0xj9m',1750075200000);
INSERT INTO "broker_ledger" VALUES(21,1,'post_01m8g99f5j4h5ey5we0khhbez8','fill','fees','USDT','1.200883','api-01m8g99f5dppscvc7x9mp0xj9m',1750075200000);
INSERT INTO "broker_ledger" VALUES(22,1,'post_01m8g99f62mt60z104wrs0s61k','reserve','free','USDT','-1001','api-01m8g99f5x4s3spndq7d7mz702',1750075200000);
INSERT INTO "broker_ledger" VALUES(23,1,'post_01m8g99f62mt60z104wrs0s61k','reserve','held','USDT','1001','api-01m8g99f5x4s3spndq7d7mz702',1750075200000);
INSERT INTO "broker_ledger" VALUES(24,2,'post_01m8g99f763pfrw0pnydngwkk2','fill','free','USDT','-747.594848','api-01m8g99f73ksxrz6chr2eg14rb',1750075200000);
INSERT INTO "broker_ledger" VALUES(25,2,'post_01m8g99f763pfrw0pnydngwkk2','fill','margin','USDT','746.848','api-01m8g99f73ksxrz6chr2eg14rb',1750075200000);
INSERT INTO "broker_ledger" VALUES(26,2,'post_01m8g99f763pfrw0pnydngwkk2','fill','fees','USDT','0.746848','api-01m8g99f73ksxrz6chr2eg14rb',1750075200000);
INSERT INTO "broker_ledger" VALUES(27,2,'post_01m8g99f763pfrw0pnydngwkk2','fill','position','ETH/USDT:USDT','-0.5','api-01m8g99f73ksxrz6chr2eg14rb',1750075200000);
INSERT INTO "broker_ledger" VALUES(28,2,'post_01m8g99f763pfrw0pnydngwkk2','fill','venue','ETH/USDT:USDT','0.5','api-01m8g99f73ksxrz6chr2eg14rb',1750075200000);
CREATE TABLE broker_orders (
	seq INTEGER NOT NULL, 
	order_id VARCHAR(64) NOT NULL, 
	exchange_order_id VARCHAR(80) NOT NULL, 
	account INTEGER NOT NULL, 
	exchange VARCHAR(32) NOT NULL, 
	base VARCHAR(128) NOT NULL, 
	quote VARCHAR(32) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	order_type VARCHAR(8) NOT NULL, 
	amount VARCHAR(128) NOT NULL, 
	price VARCHAR(128), 
	leverage INTEGER NOT NULL, 
	label VARCHAR(100), 
	status VARCHAR(16) NOT NULL, 
	filled VARCHAR(128) NOT NULL, 
	cost VARCHAR(128) NOT NULL, 
	fee VARCHAR(128) NOT NULL, 
	opening VARCHAR(128) NOT NULL, 
	reserved VARCHAR(128) NOT NULL, 
	message VARCHAR(300), 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	seen_until BIGINT NOT NULL, 
	CONSTRAINT pk_broker_orders PRIMARY KEY (seq), 
	CONSTRAINT uq_broker_orders_order_id UNIQUE (order_id), 
	CONSTRAINT uq_broker_orders_exchange_order_id UNIQUE (exchange_order_id), 
	CONSTRAINT fk_broker_orders_account FOREIGN KEY(account) REFERENCES broker_accounts (id)
);
INSERT INTO "broker_orders" VALUES(1,'api-01m8g99f5dppscvc7x9mp0xj9m','1770000000001',1,'binance','BTC','USDT','buy','market','0.01',NULL,1,'first','FILLED','0.01','1200.883','1.200883','0','0',NULL,1750075200000,1750075200000,1750075200);
INSERT INTO "broker_orders" VALUES(2,'api-01m8g99f5x4s3spndq7d7mz702','1770000000002',1,'binance','BTC','USDT','buy','limit','0.02','50000',1,NULL,'OPEN','0','0','0','0.02','1001',NULL,1750075200000,1750075200000,1750075200);
INSERT INTO "broker_orders" VALUES(3,'api-01m8g99f73ksxrz6chr2eg14rb','1770000000003',2,'binancefuturesusd','ETH','USDT','sell','market','0.5',NULL,2,NULL,'FILLED','0.5','1493.696','0.746848','0','0',NULL,1750075200000,1750075200000,1750075200);
CREATE TABLE broker_positions (
	account INTEGER NOT NULL, 
	base VARCHAR(128) NOT NULL, 
	quote VARCHAR(32) NOT NULL, 
	size VARCHAR(128) NOT NULL, 
	cost VARCHAR(128) NOT NULL, 
	margin VARCHAR(128) NOT NULL, 
	leverage INTEGER NOT NULL, 
	seen_until BIGINT NOT NULL, 
	CONSTRAINT pk_broker_positions PRIMARY KEY (account, base, quote), 
	CONSTRAINT fk_broker_positions_account FOREIGN KEY(account) REFERENCES broker_accounts (id)
);
INSERT INTO "broker_positions" VALUES(2,'ETH','USDT','-0.5','1493.696','746.848',2,1750075200);
CREATE TABLE candle_chunks (
	series_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	first_time BIGINT NOT NULL, 
	last_time BIGINT NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_candle_chunks PRIMARY KEY (series_id, number), 
	CONSTRAINT fk_candle_chunks_series_id FOREIGN KEY(series_id) REFERENCES candle_series (id) ON DELETE CASCADE
);
CREATE TABLE candle_series (
	id INTEGER NOT NULL, 
	exchange VARCHAR(32) NOT NULL, 
	base VARCHAR(128) NOT NULL, 
	quote VARCHAR(32) NOT NULL, 
	timeframe VARCHAR(4) NOT NULL, 
	first_time BIGINT NOT NULL, 
	last_time BIGINT NOT NULL, 
	bars BIGINT NOT NULL, 
	missing BIGINT NOT NULL, 
	revision VARCHAR(40) NOT NULL, 
	file VARCHAR(255) NOT NULL, 
	imported_at BIGINT NOT NULL, 
	CONSTRAINT pk_candle_series PRIMARY KEY (id), 
	CONSTRAINT uq_candle_series_exchange_base_quote_timeframe UNIQUE (exchange, base, quote, timeframe)
);
CREATE TABLE leases (
	name VARCHAR(40) NOT NULL, 
	owner VARCHAR(120) NOT NULL, 
	expires_at FLOAT NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);
CREATE TABLE live_deliveries (
	id VARCHAR(40) NOT NULL, 
	subscription_id VARCHAR(40) NOT NULL, 
	event VARCHAR(20) NOT NULL, 
	body TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at FLOAT NOT NULL, 
	last_at FLOAT, 
	last_status VARCHAR(200), 
	CONSTRAINT pk_live_deliveries PRIMARY KEY (id), 
	CONSTRAINT fk_live_deliveries_subscription_id FOREIGN KEY(subscription_id) REFERENCES live_subscriptions (id) ON DELETE CASCADE
);
CREATE TABLE live_signals (
	seq INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	subscription_id VARCHAR(40) NOT NULL, 
	bar_time BIGINT NOT NULL, 
	created_us BIGINT NOT NULL, 
	exchange VARCHAR(20) NOT NULL, 
	symbol VARCHAR(200) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	action VARCHAR(10) NOT NULL, 
	position VARCHAR(5) NOT NULL, 
	price VARCHAR(64) NOT NULL, 
	weight FLOAT NOT NULL, 
	closes FLOAT NOT NULL, 
	reason VARCHAR(20) NOT NULL, 
	order_state VARCHAR(10) NOT NULL, 
	order_id VARCHAR(64), 
	message TEXT, 
	CONSTRAINT pk_live_signals PRIMARY KEY (seq), 
	CONSTRAINT uq_live_signals_id UNIQUE (id), 
	CONSTRAINT fk_live_signals_subscription_id FOREIGN KEY(subscription_id) REFERENCES live_subscriptions (id) ON DELETE CASCADE
);
CREATE TABLE live_subscriptions (
	id VARCHAR(40) NOT NULL, 
	agent_id VARCHAR(40) NOT NULL, 
	strategy_id VARCHAR(128) NOT NULL, 
	deployment TEXT NOT NULL, 
	mode VARCHAR(10) NOT NULL, 
	account_id VARCHAR(128), 
	status VARCHAR(12) NOT NULL, 
	created_at FLOAT NOT NULL, 
	started_at BIGINT NOT NULL, 
	cursor BIGINT NOT NULL, 
	failures INTEGER NOT NULL, 
	message TEXT, 
	webhook_url VARCHAR(2048), 
	webhook_secret VARCHAR(256), 
	webhook_events VARCHAR(60), 
	CONSTRAINT pk_live_subscriptions PRIMARY KEY (id), 
	CONSTRAINT fk_live_subscriptions_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE CASCADE
);
INSERT INTO "live_subscriptions" VALUES('sub_01m8g99mex98n5nsepgf423k7b','agent_local','res_01m8g99m3wbbb42h78g2md8gsz','{"strategy_id": "res_01m8g99m3wbbb42h78g2md8gsz", "name": "signal on BINANCE:BTC/USDT", "description": "Your signal backtest of 2024-01-01 to 2024-01-10.", "exchange": "binance", "tickers": ["BINANCE:BTC/USDT"], "timeframe": "1h", "script": "emit_signal(crossover(close, sma(close, 20)), entry(TICKER, \"LONG\", Weight(0.5), stop_loss=0.05))", "mode": "isolated", "leverage": 1.0, "source": "backtest", "result_id": "res_01m8g99m3wbbb42h78g2md8gsz", "metrics": {"total_return_pct": -1.2509247968360282, "max_drawdown": -0.04034501432165727, "sharpe_ratio": -1.8054195666674753, "win_rate": 0.5, "num_trades": 2, "profit_factor": 0.5137296127125751}}','signal',NULL,'active',1750075200.0,1750075200,1750075200,0,'The first bar it decides on closes at 2025-06-16T13:00:00Z.',NULL,NULL,NULL);
CREATE TABLE usage (
	id INTEGER NOT NULL, 
	subject VARCHAR(100) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	at FLOAT NOT NULL, 
	CONSTRAINT pk_usage PRIMARY KEY (id)
);
INSERT INTO "usage" VALUES(1,'agent_local','backtests',1750075200.0);
INSERT INTO "usage" VALUES(2,'address:127.0.0.1','registrations',1750075200.0);
CREATE INDEX ix_usage_subject_kind_at ON usage (subject, kind, at);
CREATE INDEX ix_backtest_jobs_agent_id ON backtest_jobs (agent_id);
CREATE INDEX ix_backtest_jobs_status ON backtest_jobs (status);
CREATE INDEX ix_arena_posts_agent_id ON arena_posts (agent_id);
CREATE INDEX ix_backtest_results_agent_id_market ON backtest_results (agent_id, market);
CREATE INDEX ix_broker_ledger_account ON broker_ledger (account);
CREATE INDEX ix_broker_orders_account_status ON broker_orders (account, status);
CREATE INDEX ix_live_subscriptions_status ON live_subscriptions (status);
CREATE INDEX ix_live_subscriptions_agent_id ON live_subscriptions (agent_id);
CREATE INDEX ix_live_signals_subscription_seq ON live_signals (subscription_id, seq);
CREATE INDEX ix_live_deliveries_subscription_id ON live_deliveries (subscription_id);
CREATE INDEX ix_live_deliveries_state_due_at ON live_deliveries (state, due_at);
COMMIT;